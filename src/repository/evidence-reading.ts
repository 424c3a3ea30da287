import { DamageError } from "../errors.ts";
import { ObjectMissing } from "../storage/object-store.ts";
import { readDocument, readOrDamage } from "./document.ts";
import { decodeEvidence, MOST_ENTRY_BYTES } from "./evidence-entry.ts";
import type { EvidenceEntry } from "./evidence-entry.ts";
import { checkpointSchema, ENTRY_NAME, isCheckpoint, listWriters } from "./evidence-heads.ts";
import type { Head } from "./evidence-heads.ts";
import { baseName, keys } from "./layout.ts";
import { readMatching } from "./matching-version.ts";
import type { Repository } from "./repository.ts";

/** The logs of a repository, read and checked as a whole. */
const MOST_NAMED_MISSING = 1000;

export interface EvidenceReading {
  readonly entries: readonly EvidenceEntry[];
  readonly damage: readonly DamageError[];
}

/** Reads every chain of a repository: signatures, order, links, and the checkpoints that cover them. What is wrong is collected, what is right is returned. */
export async function readEvidence(repository: Repository): Promise<EvidenceReading> {
  const entries: EvidenceEntry[] = [];
  const damage: DamageError[] = [];
  const collect: Collect = async (act) => {
    try {
      await act();
    } catch (error) {
      if (error instanceof ObjectMissing) damage.push(new DamageError(error.key, "the object is not there", "missing"));
      else if (error instanceof DamageError) damage.push(error);
      else throw error;
    }
  };
  const claimed = new Map<string, Head>();
  for (const writer of await listWriters(repository)) {
    if (repository.findSigner(writer) === null) await repository.learnSigners?.();
    const names = await repository.store.listNames(keys.writer(writer));
    const chain = await readChainOf(repository, writer, names, collect, damage);
    entries.push(...chain);
    await readCheckpoints(repository, writer, names, claimed, collect, damage);
    reportUncovered(writer, chain, names, damage);
  }
  for (const head of claimed.values()) {
    const key = keys.evidenceEntry(head.writer, head.sequence);
    const found = entries.find((entry) => entry.writer === head.writer && entry.sequence === head.sequence);
    const known = damage.some((error) => error.object === key);
    if (found === undefined && !known) damage.push(new DamageError(key, "a checkpoint covers it, and it is not there", "missing"));
    else if (found !== undefined && found.sha256 !== head.sha256) damage.push(new DamageError(key, "a checkpoint covers another content"));
  }
  return { entries: inOrder(entries), damage };
}

/** By time; but the entries of one writer in their own order, also where its clock went back. `entries` come writer by writer, in order. */
export function inOrder(entries: readonly EvidenceEntry[]): EvidenceEntry[] {
  let [writer, latest] = ["", ""];
  const timed = entries.map((entry) => {
    latest = entry.writer === writer && latest > entry.at ? latest : entry.at;
    writer = entry.writer;
    return { entry, at: latest };
  });
  return timed.toSorted((a, b) => (a.at === b.at ? a.entry.sequence - b.entry.sequence : a.at < b.at ? -1 : 1)).map(({ entry }) => entry);
}

async function readChainOf(repository: Repository, writer: string, names: readonly string[], collect: Collect, damage: DamageError[]): Promise<EvidenceEntry[]> {
  const chain: EvidenceEntry[] = [];
  let expected = 1;
  for (const sequence of names.filter((name) => ENTRY_NAME.test(name)).map((name) => Number(baseName(name)))) {
    const key = keys.evidenceEntry(writer, sequence);
    // A hole can be as long as somebody wants, who only has to leave a name behind it.
    for (const first = expected; expected < Math.min(sequence, first + MOST_NAMED_MISSING); expected++)
      damage.push(new DamageError(keys.evidenceEntry(writer, expected), "the object is not there", "missing"));
    expected = sequence + 1;
    await collect(async () => {
      const entry = await readMatching(repository.store, key, async (from) => decodeEvidence(key, await readOrDamage(from, key, MOST_ENTRY_BYTES), repository.findSigner));
      const before = chain.at(-1);
      if (before?.sequence === sequence - 1 && before.sha256 !== entry.previous) damage.push(new DamageError(key, "does not follow the entry before it"));
      chain.push(entry);
    });
  }
  return chain;
}

type Collect = (act: () => Promise<void>) => Promise<void>;

/** Each names the one before it, so that none can be taken out of the middle. */
async function readCheckpoints(
  repository: Repository,
  writer: string,
  names: readonly string[],
  claimed: Map<string, Head>,
  collect: Collect,
  damage: DamageError[],
): Promise<void> {
  const digests = new Map<string, string>();
  for (const name of names.filter(isCheckpoint)) {
    const key = keys.writer(writer) + name;
    await collect(async () => {
      const { payload, signer, sha256: digest } = await readDocument(repository, key, "checkpoint", checkpointSchema);
      if (signer !== writer || key !== keys.checkpoint(payload.head.writer, payload.head.sequence)) throw new DamageError(key, "was written for another entry");
      for (const head of payload.heads) claimed.set(`${head.writer}/${head.sequence}`, head);
      digests.set(key, digest);
      const { previous } = payload;
      if (previous === null || digests.get(previous.object) === previous.sha256 || damage.some((error) => error.object === previous.object)) return;
      const kind = names.includes(previous.object.slice(keys.writer(writer).length)) ? "damaged" : "missing";
      damage.push(new DamageError(previous.object, "the next checkpoint names it with another content", kind));
    });
  }
}

/** Every operation ends with a checkpoint: a tail without one lost it, or its writer died before. Either must be looked at. */
function reportUncovered(writer: string, chain: readonly EvidenceEntry[], names: readonly string[], damage: DamageError[]): void {
  const last = chain.at(-1);
  if (last === undefined) return;
  const name = keys.checkpoint(writer, last.sequence).slice(keys.writer(writer).length);
  if (!names.includes(name))
    damage.push(
      new DamageError(
        keys.checkpoint(writer, last.sequence),
        "the last entry of this writer is not covered by a checkpoint: it was removed, or the writer died before writing it (its next run does)",
        "missing",
      ),
    );
}
