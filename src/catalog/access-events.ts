import type { AccessFact } from "../domain/alert-facts.ts";
import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf } from "./catalog.ts";
import { stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** Who was refused, and what was changed about who may do what: projected from evidence, for alerts. */

/** What an entry says in words; the name of what it is about goes behind it. */
const CHANGES: Readonly<Record<string, string>> = {
  "token.added": "a token was added",
  "token.revoked": "a token was revoked",
  "key.added": "a key can open a repository",
  "key.removed": "a key can no longer open a repository",
  "key.rotated": "a repository has a new key",
  "host.expelled": "a host was expelled",
};

export function applyAccessEntry(catalog: Catalog, { writer, sequence, at, kind, facts }: HistoryEntry): void {
  const change = CHANGES[kind];
  if (change === undefined && kind !== "access.refused") return;
  const text = change === undefined ? refusalOf(facts) : changeOf(change, facts);
  // The first of a series is told when it happens, and how many came after it when its time is over.
  const count = change === undefined && typeof facts["count"] === "number" ? facts["count"] : 1;
  catalog.run("insert into access_events (writer, sequence, at, kind, text, count) values (:writer, :sequence, :at, :kind, :text, :count) on conflict do nothing", {
    writer,
    sequence,
    at,
    kind: change === undefined ? "refused" : "changed",
    text,
    count,
  });
}

function refusalOf(facts: HistoryEntry["facts"]): string {
  const [by, address, why] = ["by", "address", "why"].map((name) => stringOrNull(facts[name]));
  return `${by ?? "nobody known"}${address === null || address === undefined ? "" : ` from ${address}`}${why === null || why === undefined ? "" : `: ${why}`}`;
}

function changeOf(change: string, facts: HistoryEntry["facts"]): string {
  const [name, label, repository, role, by] = ["name", "label", "repository", "role", "by"].map((key) => stringOrNull(facts[key]));
  const about = [name ?? label, role === null ? null : `as ${role}`, repository === null ? null : `in ${repository}`, by === null ? null : `by ${by}`].filter(
    (part) => typeof part === "string",
  );
  return about.length === 0 ? change : `${change}: ${about.join(" ")}`;
}

/** What happened since, oldest first. */
export function accessEventsSince(catalog: Catalog, since: Date): AccessFact[] {
  return catalog.all("select at, kind, text, count from access_events where at >= :since order by at, sequence limit 1000", { since: since.toISOString() }).map((row) => ({
    at: textOf(row, "at"),
    kind: row["kind"] === "refused" ? "refused" : "changed",
    text: textOf(row, "text"),
    count: numberOrNull(row, "count") ?? 1,
  }));
}
