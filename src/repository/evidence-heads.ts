import pMap from "p-map";
import { z } from "zod";
import { sha256 } from "./container-format.ts";
import { parseEnvelope } from "./dsse.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository } from "./repository.ts";

/** Where the rows of the evidence log end in a repository, found without reading all of them. */
export const ENTRY_NAME = /^\d{12}\.json$/;

/** Who has a folder by the name of a host's key. What else lies there is nobody's evidence. */
export async function listWriters(repository: Repository): Promise<string[]> {
  return (await repository.store.listNames(keys.evidence())).filter((name) => /^[0-9a-f]{64}\/$/.test(name)).map((name) => name.slice(0, -1));
}

const headSchema = z.strictObject({ writer: z.string(), sequence: z.number().int().positive(), sha256: z.string() });
export const checkpointSchema = z.object({ head: headSchema, heads: z.array(headSchema), previous: z.strictObject({ object: z.string(), sha256: z.string() }).nullable() });
export type Head = z.infer<typeof headSchema>;

/** How far behind the newest entry is looked for what a repository holds: an operation writes a handful, and a row may be years long. */
const LOOK_BACK = 100;

/** The last names in a writer's folder, in order: at least one entry, unless there is none before `newest`. */
export async function newestNames(repository: Repository, writer: string, newest: number): Promise<string[]> {
  const folder = keys.writer(writer);
  const before = newest - LOOK_BACK;
  if (before <= 0) return repository.store.listNames(folder);
  const names = await repository.store.listNames(folder, keys.evidenceEntry(writer, before).slice(folder.length));
  const isThere = (test: (name: string) => boolean): boolean => names.some((name) => test(name) && sequenceOf(name) <= newest);
  return isThere((name) => ENTRY_NAME.test(name)) && isThere(isCheckpoint) ? names : repository.store.listNames(folder);
}

function sequenceOf(name: string): number {
  return Number(name.slice(0, name.indexOf(".")));
}

export function isCheckpoint(name: string): boolean {
  return name.endsWith(".checkpoint.json");
}

/** What a checkpoint says besides its own head: the heads of all other writers, and which checkpoint was before it. */
export async function lookAround(
  repository: Repository,
  writer: string,
  names: readonly string[],
  writers: readonly string[],
): Promise<{ heads: readonly Head[]; previous: { object: string; sha256: string } | null }> {
  const last = names.findLast(isCheckpoint);
  const object = last === undefined ? null : keys.writer(writer) + last;
  const bytes = object === null ? null : await repository.store.read(object);
  const known = new Map(headsIn(bytes).map((head) => [head.writer, head.sequence]));
  const others = writers.filter((other) => other !== writer);
  const heads = await pMap(others, async (other) => headOf(repository, other, known.get(other) ?? 0), { concurrency: HEADS_AT_ONCE });
  return {
    heads: heads.filter((head) => head !== null),
    previous: object === null || bytes === null ? null : { object, sha256: sha256(bytes).toString("hex") },
  };
}

const HEADS_AT_ONCE = 8;

/** The last entry of a writer. `known`: one that was there before, from where on it is looked for. */
async function headOf(repository: Repository, writer: string, known: number): Promise<Head | null> {
  const last = (await newestNames(repository, writer, known)).findLast((name) => ENTRY_NAME.test(name));
  if (last === undefined) return null;
  return { writer, sequence: Number(baseName(last)), sha256: sha256(await repository.store.read(keys.writer(writer) + last)).toString("hex") };
}

/** The heads that a checkpoint names: where to look first, and no more. */
function headsIn(bytes: Buffer | null): readonly Head[] {
  const payload = bytes === null ? null : (parseEnvelope(bytes)?.payload ?? null);
  if (payload === null) return [];
  try {
    return z.object({ heads: z.array(headSchema) }).parse(JSON.parse(payload.toString("utf8"))).heads;
  } catch {
    return [];
  }
}
