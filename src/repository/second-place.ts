import { HoldfastError } from "../errors.ts";
import { putIfAbsent } from "../storage/object-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { EvidenceLog } from "./evidence-log.ts";
import { baseName, keys } from "./layout.ts";

/**
 * A second place for evidence, which no repository is and need not be ours: the entries of a host under the same keys and byte for byte, and nothing else. Who cuts off the log here and in every repository, or
 * writes it anew, is found out by what lies there: best where this host can write and not delete.
 */
/** Where it is: a folder or a bucket. */
export type SecondPlace = ObjectStore;

export interface SentEvidence {
  /** The last entry that is there. */
  readonly sequence: number;
  readonly sent: number;
}

/**
 * Sends what is not there yet. `known`: up to which entry everything is there, as far as this host remembers; null: it does not. What it remembers is not believed where it can be looked at. Rejects with
 * `HF-DIVERGED` where another entry lies in the place of one of ours, or more than we have.
 */
export async function sendEvidence(log: EvidenceLog, store: ObjectStore, known: number | null): Promise<SentEvidence> {
  const head = (await log.head())?.sequence ?? 0;
  const there = known ?? (await lastThere(log, store));
  if (there > head) throw diverged(store, `it holds entry ${there} of this host, and here the log ends with ${head}: its end was cut off here, or the state folder was set back`);
  // The last of those that are there, too: if it is the same, so are all before it, which it names.
  for (let sequence = Math.max(1, there); sequence <= head; sequence++) await sendOne(log, store, sequence);
  if ((await store.size(keys.evidenceEntry(log.writer, head + 1))) !== null)
    throw diverged(store, `it holds more entries of this host than the ${head} that are here: the end of the log was cut off here, or the state folder was set back`);
  return { sequence: head, sent: head - there };
}

async function sendOne(log: EvidenceLog, store: ObjectStore, sequence: number): Promise<void> {
  const key = keys.evidenceEntry(log.writer, sequence);
  const bytes = await log.bytesOf(sequence);
  if ((await store.size(key)) === null && (await putIfAbsent(store, key, bytes)) === "created") return;
  if (!(await store.read(key)).equals(bytes)) throw diverged(store, `another entry lies there as number ${sequence} of this host: the log was written anew, here or there`);
}

async function lastThere(log: EvidenceLog, store: ObjectStore): Promise<number> {
  const names = await store.listNames(keys.writer(log.writer));
  return Number(baseName(names.at(-1) ?? "0"));
}

function diverged({ url }: ObjectStore, reason: string): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `the second place of evidence (${url}) does not agree with this host: ${reason}`, {
    hint: "keep both as they are and find out who did it: 'holdfast evidence verify BUNDLE --second' compares a bundle with what lies there",
    facts: { second: url },
  });
}
