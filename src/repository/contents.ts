import { DamageError } from "../errors.ts";
import { putIfAbsent } from "../storage/object-store.ts";
import { readOrDamage } from "./document.ts";
import { sha256 } from "./container-format.ts";
import { keys } from "./layout.ts";
import { readMatching } from "./matching-version.ts";
import type { Manifest } from "./manifest.ts";
import type { Repository } from "./repository.ts";

/** One container of a backup, as its contents file names it: relative key, size, root digest. */
export interface ContentsLine {
  readonly name: string;
  readonly bytes: number;
  readonly root: string;
}

/** The containers of a backup of 100 TB. */
const MOST_CONTENTS_BYTES = 64 << 20;
const HEADER = "holdfast contents 1";

/** Writes the list. "exists": another process wrote one for this backup. */
export async function writeContents(repository: Repository, place: { source: string; backup: string }, lines: readonly ContentsLine[]): Promise<Manifest["contents"] | "exists"> {
  const bytes = encode(lines);
  const outcome = await putIfAbsent(repository.store, keys.contents(place.source, place.backup), bytes);
  return outcome === "exists" ? outcome : { bytes: bytes.length, sha256: sha256(bytes).toString("hex") };
}

/** What a manifest says of the list that is there, if it is this very one; else null. */
export async function sameContents(repository: Repository, place: { source: string; backup: string }, lines: readonly ContentsLine[]): Promise<Manifest["contents"] | null> {
  const bytes = encode(lines);
  const found = await readOrDamage(repository.store, keys.contents(place.source, place.backup), MOST_CONTENTS_BYTES);
  return found.equals(bytes) ? { bytes: bytes.length, sha256: sha256(bytes).toString("hex") } : null;
}

function encode(lines: readonly ContentsLine[]): Buffer {
  return Buffer.from([HEADER, ...lines.map((line) => `${line.name} ${line.bytes} ${line.root}`), ""].join("\n"));
}

/** Reads the list of containers of a backup, checked against its manifest. */
export async function readContents(repository: Repository, manifest: Manifest): Promise<ContentsLine[]> {
  const key = keys.contents(manifest.source, manifest.id);
  const bytes = await readMatching(repository.store, key, async (from) => {
    const found = await readOrDamage(from, key, Math.min(manifest.contents.bytes, MOST_CONTENTS_BYTES));
    if (sha256(found).toString("hex") !== manifest.contents.sha256) throw new DamageError(key, "the digest does not fit the manifest");
    return found;
  });
  const [header, ...lines] = bytes.toString("utf8").split("\n");
  if (header !== HEADER) throw new DamageError(key, "not a list of contents");
  return lines.filter((line) => line !== "").map((line) => parseLine(key, line));
}

function parseLine(key: string, line: string): ContentsLine {
  const match = /^((?:data|map)\/\d{8}) (\d+) ([0-9a-f]{64})$/.exec(line);
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) throw new DamageError(key, `unexpected line ${JSON.stringify(line)}`);
  return { name: match[1], bytes: Number(match[2]), root: match[3] };
}
