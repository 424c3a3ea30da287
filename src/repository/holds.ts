import { z } from "zod";
import { HOLD_ACTIONS, NOT_HELD, afterAction } from "../domain/hold.ts";
import type { HoldAction, HoldMark, HoldState, SourceHolds } from "../domain/hold.ts";
import { DamageError } from "../errors.ts";
import { readDocument, writeDocument } from "./document.ts";
import type { ReadDocument } from "./document.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";

/**
 * Pins and legal holds (docs/repository-format.md section 10): for each backup, and for the whole source, a row of numbered documents, of which the last says what is so. None is ever removed:
 * together they tell who kept what, and since when. A row with a hole in it is damage, and nobody deletes anything of a source whose rows cannot be read.
 */
const markSchema = z.object({ by: z.string(), at: z.string(), reason: z.string().nullable() });
const holdSchema = z.object({
  source: z.string(),
  /** Null: the whole source. */
  backup: z.string().nullable(),
  sequence: z.number().int().positive(),
  /** SHA-256, hex, of the file before; null for the first. */
  previous: z.string().nullable(),
  action: z.enum(HOLD_ACTIONS),
  by: z.string(),
  at: z.string(),
  reason: z.string().nullable(),
  pinned: markSchema.nullable(),
  held: markSchema.nullable(),
});
type Hold = z.infer<typeof holdSchema>;

/** Keys are a backup's id, or this. */
const WHOLE_SOURCE = "all";

export async function readHolds(repository: Repository, source: string): Promise<SourceHolds> {
  const backups = new Map<string, HoldState>();
  for (const folder of await repository.store.listNames(keys.holds(source))) {
    const subject = baseName(folder.replace(/\/$/, ""));
    const newest = await readNewestHold(repository, source, subject);
    if (newest !== null) backups.set(subject, newest.payload);
  }
  const all = backups.get(WHOLE_SOURCE) ?? NOT_HELD;
  backups.delete(WHOLE_SOURCE);
  return { all, backups };
}

/** What became of an action in one repository. */
export interface HoldOutcome {
  /** The document that says so: the one that was written, or the one that said so already. */
  readonly object: string;
  readonly sha256: string | null;
  readonly changed: boolean;
}

/** Does what is asked for, unless it is so already. Null: there is nothing to take off. Two who do so at once come one after the other. */
export async function writeHold(
  repository: WritableRepository,
  source: string,
  { backup, action, mark }: { backup: string | null; action: HoldAction; mark: HoldMark },
): Promise<HoldOutcome | null> {
  const subject = backup ?? WHOLE_SOURCE;
  for (;;) {
    const newest = await readNewestHold(repository, source, subject);
    const next = afterAction(newest?.payload ?? NOT_HELD, action, mark);
    if (next === null) return action === "unpin" || action === "release" || newest === null ? null : { object: newest.key, sha256: newest.sha256, changed: false };
    const sequence = (newest?.payload.sequence ?? 0) + 1;
    const key = keys.hold(source, subject, sequence);
    const payload: Hold = { source, backup, sequence, previous: newest?.sha256 ?? null, action, ...mark, ...next };
    if ((await writeDocument(repository, key, "hold", payload, repository.signer)) === "created") return { object: key, sha256: null, changed: true };
  }
}

/** Everything wrong with the rows of a source, each document looked at: what `verify` shows. */
export async function findHoldDamage(repository: Repository, source: string): Promise<{ readonly objects: number; readonly damage: readonly DamageError[] }> {
  let objects = 0;
  const damage: DamageError[] = [];
  for (const folder of await repository.store.listNames(keys.holds(source))) {
    const subject = baseName(folder.replace(/\/$/, ""));
    let previous: string | null = null;
    for (const [i, name] of (await repository.store.listNames(keys.holdsOf(source, subject))).entries()) {
      objects++;
      const key = keys.holdsOf(source, subject) + name;
      try {
        assertInRow(source, subject, name, i);
        const { payload, sha256 } = await readHold(repository, source, subject, name);
        if (payload.previous !== previous) throw new DamageError(key, "the one before it is not the one that it was written after");
        previous = sha256;
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        damage.push(error);
        // What follows names this one, whose digest nobody knows: one damage, not as many as there are documents.
        break;
      }
    }
  }
  return { objects, damage };
}

async function readNewestHold(repository: Repository, source: string, subject: string): Promise<(ReadDocument<Hold> & { readonly key: string }) | null> {
  const names = await repository.store.listNames(keys.holdsOf(source, subject));
  for (const [i, name] of names.entries()) assertInRow(source, subject, name, i);
  const last = names.at(-1);
  return last === undefined ? null : { ...(await readHold(repository, source, subject, last)), key: keys.holdsOf(source, subject) + last };
}

function assertInRow(source: string, subject: string, name: string, index: number): void {
  const expected = keys.hold(source, subject, index + 1);
  const found = keys.holdsOf(source, subject) + name;
  if (found !== expected) throw new DamageError(expected, `the object is not there, and ${name} is`, "missing");
}

async function readHold(repository: Repository, source: string, subject: string, name: string): Promise<ReadDocument<Hold>> {
  const key = keys.holdsOf(source, subject) + name;
  const document = await readDocument(repository, key, "hold", holdSchema);
  const { payload } = document;
  if (payload.source !== source || (payload.backup ?? WHOLE_SOURCE) !== subject || payload.sequence !== Number(baseName(name)))
    throw new DamageError(key, `it is hold ${payload.sequence} of ${payload.source} ${payload.backup ?? WHOLE_SOURCE}`);
  return document;
}
