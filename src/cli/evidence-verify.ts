import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { openStore } from "../open-stores.ts";
import { splitLines } from "../compliance/bundle-lines.ts";
import type { KnownLogs } from "../compliance/bundle-logs.ts";
import type { SecondHead } from "../compliance/second-heads.ts";
import { knownFrom, verifyBundle } from "../compliance/verify-bundle.ts";
import type { BundleCheck } from "../compliance/verify-bundle.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import { parseKeyLine } from "../repository/evidence-bundle.ts";
import { ENTRY_NAME } from "../repository/evidence-heads.ts";
import { baseName, keys as objectKeys } from "../repository/layout.ts";
import { verifyKeyFromBase64 } from "../repository/signing.ts";
import type { VerifyKey } from "../repository/signing.ts";
import { certificatesOf } from "../repository/time-stamp.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

export function verifyCommand(): Command {
  return newCommand("verify", "check a bundle with public keys alone: no inventory, no repository", "holdfast evidence verify october.evidence --key keys.txt")
    .argument("<bundle>", "the file that 'evidence export' wrote")
    .requiredOption("--key <file>", "public keys, as 'evidence key' prints them; not from where the bundle comes from")
    .option("--authority <file>", "certificates (PEM) that vouch for the time-stamp authority: what time is proved")
    .option("--second <place>", "a folder, or s3://bucket/prefix, that evidence is sent to: is everything here that came there?")
    .option("--known <file>", "another bundle of these logs: is this one older, or does it contain all that one knew?")
    .action(async (bundle: string, options: CommonOptions & { key: string; known?: string; authority?: string; second?: string }) =>
      perform(options, async ({ output }) => {
        const keys = await readKeys(options.key);
        const known = options.known === undefined ? [] : [await readKnown(options.known, keys)];
        const authorities = options.authority === undefined ? null : await readAuthorities(options.authority);
        const check = await verifyBundle(readLines(bundle), keys, { known, authorities, second: options.second === undefined ? [] : await readSecond(options.second) });
        output.result({ bundle: path.resolve(bundle), ...check }, () => describeCheck(check));
        return EXIT[check.verdict];
      }),
    );
}

/** A bundle that cannot be judged is like a drill that was inconclusive: try again, with the key. */
const EXIT: Readonly<Record<BundleCheck["verdict"], number>> = { valid: 0, invalid: 1, indeterminate: 3 };

function describeCheck({ verdict, findings, entries, files, signer, statement, timeStamps }: BundleCheck): string {
  const lines = findings.map(({ kind, where, reason }) => `${kind}: ${where}: ${reason}`);
  const logs = (statement?.writers ?? []).map(({ writer, size, root }) => `  log of ${writer.slice(0, 16)}: ${size} entries, root ${root}`);
  const made = statement === null || signer === null ? [] : [`exported ${statement.exportedAt} by ${signer.slice(0, 16)}, from repository ${statement.repositoryId}`];
  const what = `${verdict}: ${entries} entries${files.length === 0 ? "" : `, report of ${files.length} files`}`;
  return `${[...lines, what, ...made, ...logs, ...describeStamps(timeStamps)].join("\n")}\n`;
}

function describeStamps({ count, checked, authorities, proved }: BundleCheck["timeStamps"]): string[] {
  if (count === 0) return ["no time stamp: when it was, the clock of the host alone says"];
  const by = `by the clock of ${authorities.join(" and ")}`;
  if (!checked) return [`${count} time stamps, which say that they are ${by}: name the certificates that vouch for it with --authority`];
  return proved.map(({ writer, sequence, at }) => `proved: entry ${sequence} of ${writer.slice(0, 16)}, and all before it, was there at ${at} ${by}`);
}

/** The last entry of every host that has a folder there. */
async function readSecond(place: string): Promise<SecondHead[]> {
  const store = await openStore(place.startsWith("s3://") ? place : pathToFileURL(path.resolve(place)).href);
  const writers = (await store.listNames(objectKeys.evidence())).filter((name) => /^[0-9a-f]{64}\/$/.test(name)).map((name) => name.slice(0, -1));
  if (writers.length === 0) throw new HoldfastError("HF-USAGE", `${place} holds no evidence`, { hint: "name what evidence.second in the inventory names" });
  return Promise.all(
    writers.map(async (writer) => {
      const sequence = Number(baseName((await store.listNames(objectKeys.writer(writer))).findLast((name) => ENTRY_NAME.test(name)) ?? "0"));
      const key = objectKeys.evidenceEntry(writer, sequence);
      return { writer, sequence, key, bytes: sequence === 0 ? Buffer.alloc(0) : await store.read(key) };
    }),
  );
}

async function readAuthorities(file: string): Promise<ReturnType<typeof certificatesOf>> {
  const found = await readFile(file, "utf8")
    .then(certificatesOf)
    .catch((cause: unknown) => {
      throw new HoldfastError("HF-KEY", `cannot read ${file}: ${messageOf(cause)}`, { hint: AUTHORITY_HINT, cause });
    });
  if (found.length > 0) return found;
  throw new HoldfastError("HF-KEY", `${file} holds no certificate`, { hint: AUTHORITY_HINT });
}

const AUTHORITY_HINT = "PEM, as the time-stamp authority publishes it; not from where the bundle comes from";

async function* readLines(file: string): AsyncGenerator<Buffer> {
  try {
    yield* splitLines(createReadStream(file, { highWaterMark: 1 << 20 }));
  } catch (cause) {
    throw new HoldfastError("HF-USAGE", `cannot read ${file}: ${messageOf(cause)}`, { hint: "name the file that 'evidence export' wrote", cause });
  }
}

export async function readKnown(file: string, keys: readonly VerifyKey[]): Promise<KnownLogs> {
  let last: Buffer = Buffer.alloc(0);
  for await (const line of readLines(file)) last = line;
  const known = knownFrom(path.basename(file), last, keys);
  if (known !== null) return known;
  throw new HoldfastError("HF-USAGE", `${file} is no bundle that one of the keys signed`, { hint: "name a file that 'evidence export' wrote" });
}

async function readKeys(file: string): Promise<VerifyKey[]> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new HoldfastError("HF-KEY", `cannot read ${file}: ${messageOf(cause)}`, { hint: KEY_HINT, cause });
  });
  const keys = text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => parseKeyLine(line));
  if (keys.length > 0 && keys.every((key) => key !== null)) return keys.map((key) => verifyKeyFromBase64(key));
  throw new HoldfastError("HF-KEY", `${file} does not hold public keys`, { hint: KEY_HINT });
}

const KEY_HINT = "what 'holdfast evidence key' prints: a key a line";
