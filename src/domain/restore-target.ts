import { tryParseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { parseTime } from "./timestamp.ts";
import type { Micros } from "./timestamp.ts";

/** Where a restore is to end, as asked for. It is always resolved to one LSN on one timeline before anything is touched. */
export type RestoreTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "immediate" }
  | { readonly kind: "time"; readonly time: Micros }
  | { readonly kind: "lsn"; readonly lsn: Lsn }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "xid"; readonly xid: number };

/** Parses `latest`, `immediate`, a time with a zone, `lsn:0/16B3748`, `name:before-release`, `xid:1234`. A string is what is wrong with it. */
export function parseRestoreTarget(text: string): RestoreTarget | string {
  if (text === "latest" || text === "immediate") return { kind: text };
  const [, prefix, rest = ""] = /^(lsn|name|xid):(.*)$/.exec(text) ?? [];
  if (prefix === "lsn") {
    const position = tryParseLsn(rest);
    return position === null ? `${JSON.stringify(rest)} is not an LSN (like 0/16B3748)` : { kind: "lsn", lsn: position };
  }
  if (prefix === "name") return rest === "" ? "the name is empty" : { kind: "name", name: rest };
  if (prefix === "xid") return /^\d{1,10}$/.test(rest) ? { kind: "xid", xid: Number(rest) } : `${JSON.stringify(rest)} is not a transaction id`;
  const time = parseTime(text);
  if (time === "no-zone") return `${text} has no time zone: it is another moment in every place`;
  if (time === "not-a-time") return `${JSON.stringify(text)} is neither latest, immediate, a time, lsn:…, name:… nor xid:…`;
  return { kind: "time", time };
}

export function describeTarget(target: RestoreTarget): string {
  if (target.kind === "time") return new Date(Number(target.time / 1000n)).toISOString();
  if (target.kind === "lsn") return `lsn:${(target.lsn >> 32n).toString(16).toUpperCase()}/${(target.lsn & 0xffffffffn).toString(16).toUpperCase()}`;
  return target.kind === "name" ? `name:${target.name}` : target.kind === "xid" ? `xid:${target.xid}` : target.kind;
}
