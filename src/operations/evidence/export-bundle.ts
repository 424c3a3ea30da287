import { createHash } from "node:crypto";
import pMap from "p-map";
import { DamageError } from "../../errors.ts";
import { BUNDLE_HEADER, encodeLine, signBundle } from "../../repository/evidence-bundle.ts";
import type { BundlePredicate, WriterState } from "../../repository/evidence-bundle.ts";
import { decodeEvidence, MOST_ENTRY_BYTES } from "../../repository/evidence-entry.ts";
import { checkpointSchema, ENTRY_NAME, listWriters } from "../../repository/evidence-heads.ts";
import type { EvidenceEntry } from "../../repository/evidence-entry.ts";
import { readStamped, STAMPED } from "../../repository/evidence-stamp.ts";
import { readDocument, readOrDamage } from "../../repository/document.ts";
import { baseName, keys } from "../../repository/layout.ts";
import { MerkleTree } from "../../repository/merkle.ts";
import type { WritableRepository } from "../../repository/repository.ts";

export interface BundleOrder {
  readonly repository: WritableRepository;
  readonly now: Date;
  /** Inclusive and exclusive; null: without a limit. */
  readonly from: Date | null;
  readonly to: Date | null;
  /** Null: entries of every source, and of the installation. */
  readonly source: string | null;
  /** A report that was written: its files. */
  readonly files: readonly { readonly name: string; readonly bytes: Buffer }[];
  /** Logs as an earlier bundle or somebody else has seen them: that they only grew since is proved. */
  readonly since: readonly WriterState[];
}

export interface ExportedBundle {
  readonly entries: number;
  readonly checkpoints: number;
  readonly predicate: BundlePredicate;
}

/** Entries are read by so many at a time: a bucket answers each in some ten milliseconds. */
const READ_AT_ONCE = 32;

/**
 * Writes the evidence of a repository as a bundle that can be checked without it. All of every chain is read and checked, to sign its root, and what was asked for is written. Rejects with
 * `DamageError` for a chain that is not whole: nobody signs for that.
 */
export async function exportBundle(order: BundleOrder, write: (bytes: Uint8Array) => Promise<void>): Promise<ExportedBundle> {
  const { repository, now, from, to, source } = order;
  const content = createHash("sha256");
  const put = async (bytes: Uint8Array): Promise<void> => {
    content.update(bytes);
    await write(bytes);
  };
  await put(encodeLine(BUNDLE_HEADER));
  // Before the chains, so that none can cover an entry that was written after we looked.
  const checkpoints = await newestCheckpoints(repository);
  const logs = new Map<string, Log>();
  let entries = 0;
  for (const writer of await listWriters(repository)) {
    const log = await exportChain(order, writer, put);
    if (log === null) continue;
    logs.set(writer, log);
    entries += log.entries;
  }
  const stamped = [...logs.values()].flatMap((log) => log.stamped).filter(({ writer, sequence }) => sequence <= (logs.get(writer)?.tree.size ?? 0));
  for (const inclusion of requiredProofs([...checkpoints.flatMap(({ heads }) => heads), ...stamped], logs)) await put(encodeLine({ inclusion }));
  for (const consistency of growthProofs(order.since, logs)) await put(encodeLine({ consistency }));
  for (const { bytes } of checkpoints) await put(bytes);
  for (const { name, bytes } of order.files) await put(encodeLine({ file: { name, base64: bytes.toString("base64") } }));
  const selection = { from: from?.toISOString() ?? null, to: to?.toISOString() ?? null, source };
  const writers = [...logs].map(([writer, { tree, head }]) => ({ writer, size: tree.size, head, root: tree.root().toString("hex") }));
  const predicate = { repositoryId: repository.repositoryId, exportedAt: now.toISOString(), selection, writers };
  await write(signBundle(repository.signer, content.digest("hex"), predicate));
  return { entries, checkpoints: checkpoints.length, predicate };
}

type Put = (bytes: Uint8Array) => Promise<void>;

interface Log {
  readonly tree: MerkleTree;
  /** SHA-256, hex, of the last entry. */
  readonly head: string;
  /** How many were exported, and where each run of them ends. */
  readonly entries: number;
  readonly runEnds: readonly number[];
  /** Heads that time stamps among them are of. */
  readonly stamped: readonly Head[];
}

interface Head {
  readonly writer: string;
  readonly sequence: number;
}

/** Null where the writer has no entry. */
async function exportChain(order: BundleOrder, writer: string, put: Put): Promise<Log | null> {
  const { repository } = order;
  if (repository.findSigner(writer) === null) await repository.learnSigners?.();
  const names = await repository.store.listNames(keys.writer(writer));
  const size = Number(baseName(names.findLast((name) => ENTRY_NAME.test(name)) ?? "0"));
  const tree = new MerkleTree();
  const runEnds: number[] = [];
  const stamped: Head[] = [];
  const selection = new Selection(order);
  let [entries, head]: [number, string | null] = [0, null];
  for await (const { entry, bytes } of readChain(repository, writer, size)) {
    if (entry.previous !== head) throw new DamageError(keys.evidenceEntry(writer, entry.sequence), "does not follow the entry before it");
    head = entry.sha256;
    tree.append(Buffer.from(head, "hex"));
    if (!selection.takes(entry)) continue;
    entries += 1;
    if (entry.kind === STAMPED) stamped.push(...readStamped(entry, repository.findSigner).heads);
    if (runEnds.at(-1) === entry.sequence - 1) runEnds[runEnds.length - 1] = entry.sequence;
    else {
      await put(encodeLine({ run: { writer, first: entry.sequence } }));
      runEnds.push(entry.sequence);
    }
    await put(bytes);
  }
  return head === null ? null : { tree, head, entries, runEnds, stamped };
}

interface FoundCheckpoint {
  readonly bytes: Buffer;
  readonly heads: readonly Head[];
}

/** The newest of every writer that has one. */
async function newestCheckpoints(repository: WritableRepository): Promise<FoundCheckpoint[]> {
  const found: FoundCheckpoint[] = [];
  for (const writer of await listWriters(repository)) {
    const name = (await repository.store.listNames(keys.writer(writer))).findLast((each) => each.endsWith(".checkpoint.json"));
    if (name === undefined) continue;
    const key = keys.writer(writer) + name;
    const { payload } = await readDocument(repository, key, "checkpoint", checkpointSchema);
    found.push({ bytes: await readOrDamage(repository.store, key), heads: [payload.head, ...payload.heads] });
  }
  return found;
}

/** Proofs for the end of each run, and for each head that a checkpoint names, stamped or not. */
function requiredProofs(heads: readonly Head[], logs: ReadonlyMap<string, Log>): { writer: string; sequence: number; proof: string[] }[] {
  const ends = [...logs].flatMap(([writer, { runEnds }]) => runEnds.map((sequence) => ({ writer, sequence })));
  const wanted = new Map([...ends, ...heads].map((head) => [`${head.writer}/${head.sequence}`, head]));
  return [...wanted.values()].map(({ writer, sequence }) => {
    const tree = logs.get(writer)?.tree;
    if (tree === undefined || sequence > tree.size) throw new DamageError(keys.evidenceEntry(writer, sequence), "a checkpoint covers it, and it is not there", "missing");
    return { writer, sequence, proof: hex(tree.inclusion(sequence - 1)) };
  });
}

function growthProofs(since: readonly WriterState[], logs: ReadonlyMap<string, Log>): { writer: string; size: number; root: string; proof: string[] }[] {
  return since.flatMap(({ writer, size }) => {
    const tree = logs.get(writer)?.tree;
    if (tree === undefined || size > tree.size) return [];
    return [{ writer, size, root: tree.root(size).toString("hex"), proof: hex(tree.consistency(size)) }];
  });
}

/** Every entry of a chain, in order, each signed by its writer. */
async function* readChain(repository: WritableRepository, writer: string, size: number): AsyncGenerator<{ entry: EvidenceEntry; bytes: Buffer }> {
  for (let first = 1; first <= size; first += READ_AT_ONCE) {
    const wanted = Array.from({ length: Math.min(READ_AT_ONCE, size - first + 1) }, (_, i) => keys.evidenceEntry(writer, first + i));
    const read = await pMap(wanted, async (key) => ({ key, bytes: await readOrDamage(repository.store, key, MOST_ENTRY_BYTES) }), { concurrency: READ_AT_ONCE });
    for (const { key, bytes } of read) yield { entry: decodeEvidence(key, bytes, repository.findSigner), bytes };
  }
}

/** What of one log was asked for; and with it the time stamps of that time and the first one after it, which is over what came last. */
class Selection {
  readonly #order: BundleOrder;
  #isCovered = false;

  constructor(order: BundleOrder) {
    this.#order = order;
  }

  takes({ kind, at, facts }: EvidenceEntry): boolean {
    const { from, to, source } = this.#order;
    const moment = Date.parse(at);
    const [begun, ended] = [from === null || moment >= from.getTime(), to !== null && moment >= to.getTime()];
    if (kind !== STAMPED) return begun && !ended && (source === null || facts["source"] === source);
    if (!begun || this.#isCovered) return false;
    this.#isCovered = ended;
    return true;
  }
}

function hex(proof: readonly Buffer[]): string[] {
  return proof.map((hash) => hash.toString("hex"));
}
