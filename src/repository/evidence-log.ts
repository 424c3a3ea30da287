import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import { ObjectMissing, putIfAbsent } from "../storage/object-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { parseJson, readDocument, readOrDamage, requireBelieved, writeDocument } from "./document.ts";
import { isSignedBy, parseEnvelope, signEnvelope } from "./dsse.ts";
import { checkpointSchema, ENTRY_NAME, isCheckpoint, listWriters, lookAround, newestNames } from "./evidence-heads.ts";
import type { Head } from "./evidence-heads.ts";
import { baseName, keys } from "./layout.ts";
import { readMatching } from "./matching-version.ts";
import type { Repository, WritableRepository } from "./repository.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

/**
 * The evidence log: append-only, one hash chain per writer, each entry a DSSE envelope over an in-toto statement (docs/repository-format.md section 11).
 * Entries are made durable in the state folder of the host first, so that a run against an unreachable repository is on record too, and copied to every repository.
 */
/** Of entries, and of whatever else is stated about evidence. */
export const STATEMENT_TYPE = "application/vnd.in-toto+json";
const PREDICATE_TYPE = "urn:holdfast:evidence:v1";

const EVIDENCE_KINDS = [
  "run.started",
  "run.finished",
  "run.missed",
  "alert.raised",
  "alert.acknowledged",
  "alert.resolved",
  "run.slots",
  "verify.ledger",
  "schedule.committed",
  "source.paused",
  "source.reattached",
  "source.resumed",
  "recovery.begun",
  "recovery.step",
  "repository.created",
  "key.added",
  "key.removed",
  "key.rotated",
  "host.admitted",
  "host.expelled",
  "source.bound",
  "deletion",
  "lock.extended",
  "wal.gap",
  "exposure.restated",
  "hold.changed",
  "policy.changed",
  "policy.approved",
  "report.written",
  "token.added",
  "token.revoked",
  "access.used",
  "access.refused",
  "access.read",
  "access.signed-in",
  "access.signed-out",
] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

const subjectSchema = z.object({ name: z.string(), digest: z.object({ sha256: z.string() }) });
const statementSchema = z.object({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.array(subjectSchema).min(1),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.looseObject({
    writer: z.string(),
    sequence: z.number().int().positive(),
    previous: z.string().nullable(),
    at: z.string(),
    kind: z.string(),
    facts: z.record(z.string(), z.unknown()),
  }),
});

export interface EvidenceEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly previous: string | null;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly subject: readonly z.infer<typeof subjectSchema>[];
  /** SHA-256, hex, of the entry as it lies in the store: what the next one names. */
  readonly sha256: string;
}

export type Subject = z.infer<typeof subjectSchema>;

export class EvidenceLog {
  readonly #local: ObjectStore;
  readonly #signer: SigningKey;
  #head: { sequence: number; sha256: string } | null = null;

  /** `local`: a store in the state folder of this host. */
  constructor(local: ObjectStore, signer: SigningKey) {
    this.#local = local;
    this.#signer = signer;
  }

  get writer(): string {
    return this.#signer.fingerprint;
  }

  /** Makes an entry durable here. Two processes of one host may append at once: the later one chains behind. */
  async append(kind: EvidenceKind, at: Date, facts: Record<string, unknown>, subject: readonly Subject[] = []): Promise<EvidenceEntry> {
    for (;;) {
      const head = await this.#currentHead();
      const sequence = (head?.sequence ?? 0) + 1;
      const predicate = { writer: this.writer, sequence, previous: head?.sha256 ?? null, at: at.toISOString(), kind, facts };
      const subjects = subject.length > 0 ? [...subject] : [this.#chainSubject(head)];
      const statement = { _type: "https://in-toto.io/Statement/v1", subject: subjects, predicateType: PREDICATE_TYPE, predicate };
      const bytes = signEnvelope(STATEMENT_TYPE, Buffer.from(JSON.stringify(statement)), this.#signer);
      if ((await putIfAbsent(this.#local, keys.evidenceEntry(this.writer, sequence), bytes)) === "exists") continue;
      const digest = sha256(bytes).toString("hex");
      this.#head = { sequence, sha256: digest };
      return { ...predicate, subject: subjects, sha256: digest };
    }
  }

  /** The entries of this host from one on, oldest first. */
  async *entriesFrom(first: number): AsyncGenerator<EvidenceEntry> {
    const verify = (fingerprint: string): VerifyKey | null => (fingerprint === this.writer ? this.#signer : null);
    for (let sequence = first; ; sequence++) {
      const key = keys.evidenceEntry(this.writer, sequence);
      if ((await this.#local.size(key)) === null) return;
      yield decodeEvidence(key, await this.#local.read(key), verify);
    }
  }

  /** Up to `limit` entries of this host, the newest first, from `upTo` (inclusive) back. */
  async entriesBefore(upTo: number, limit: number): Promise<EvidenceEntry[]> {
    const entries: EvidenceEntry[] = [];
    for await (const entry of this.entriesFrom(Math.max(1, upTo - limit + 1))) {
      if (entry.sequence > upTo) break;
      entries.unshift(entry);
    }
    return entries;
  }

  /** The last entry of this host; null where there is none. */
  async head(): Promise<{ writer: string; sequence: number; sha256: string } | null> {
    const head = await this.#currentHead();
    return head === null ? null : { writer: this.writer, ...head };
  }

  /** Copies what a repository does not have yet and covers it with a checkpoint. Returns how many entries were copied. */
  async copyTo(repository: WritableRepository): Promise<number> {
    const head = await this.#currentHead();
    if (head === null) return 0;
    const folder = keys.writer(this.writer);
    // What is asked at once need not be waited for in turn: a store may be far away.
    const [names, writers] = await Promise.all([newestNames(repository, this.writer, head.sequence), listWriters(repository)]);
    const held = names.filter((name) => ENTRY_NAME.test(name)).map((name) => Number(baseName(name)));
    const from = held.findLast((sequence) => sequence <= head.sequence) ?? 0;
    const checkpoint = keys.checkpoint(this.writer, head.sequence);
    const isCovered = names.includes(checkpoint.slice(folder.length));
    const seen = isCovered ? null : lookAround(repository, this.writer, names, writers);
    // Its failure is told when its turn comes.
    seen?.catch(() => undefined);
    if (from > 0) await this.#assertSameEntry(repository, from);
    // One after the other: whoever reads meanwhile, or after we died, must not find one without the one before it.
    for (let sequence = from + 1; sequence <= head.sequence; sequence++) {
      const key = keys.evidenceEntry(this.writer, sequence);
      await putIfAbsent(repository.store, key, await this.#local.read(key));
    }
    if (seen === null) return head.sequence - from;
    const { heads, previous } = await seen;
    const own = { writer: this.writer, ...head };
    await writeDocument(repository, checkpoint, "checkpoint", { head: own, heads: [own, ...heads], previous }, repository.signer);
    return head.sequence - from;
  }

  /** A host that was set back to an older state writes its chain anew; in the repository the old one stays, and what is new must not be lost behind it without a word. */
  async #assertSameEntry(repository: WritableRepository, sequence: number): Promise<void> {
    const key = keys.evidenceEntry(this.writer, sequence);
    if ((await repository.store.read(key)).equals(await this.#local.read(key))) return;
    throw new HoldfastError("HF-DIVERGED", `${repository.name} holds another evidence log of this host: the state folder was set back, or is used by two machines`, {
      hint: "keep what is there, and begin a log of its own: move host-key.pem and evidence/ out of the state folder",
      facts: { repository: repository.name, entry: key },
    });
  }

  async #currentHead(): Promise<{ sequence: number; sha256: string } | null> {
    let sequence = this.#head?.sequence ?? (await this.#lastSequence());
    while ((await this.#local.size(keys.evidenceEntry(this.writer, sequence + 1))) !== null) sequence++;
    if (sequence === 0) return null;
    if (this.#head?.sequence !== sequence) this.#head = { sequence, sha256: sha256(await this.#local.read(keys.evidenceEntry(this.writer, sequence))).toString("hex") };
    return this.#head;
  }

  async #lastSequence(): Promise<number> {
    const names = await this.#local.listNames(keys.writer(this.writer));
    return Number(baseName(names.at(-1) ?? "0"));
  }

  #chainSubject(head: { sequence: number; sha256: string } | null): Subject {
    if (head !== null) return { name: keys.evidenceEntry(this.writer, head.sequence), digest: { sha256: head.sha256 } };
    return { name: `host ${this.writer}`, digest: { sha256: this.writer } };
  }
}

/** An entry out of its bytes, if it is what lies under `key` and somebody known signed it. Throws `DamageError`. */
export function decodeEvidence(key: string, bytes: Buffer, findSigner: Repository["findSigner"]): EvidenceEntry {
  const envelope = parseEnvelope(bytes);
  if (envelope === null || envelope.payloadType !== STATEMENT_TYPE) throw new DamageError(key, "not a well-formed evidence entry");
  const signer = findSigner(envelope.keyId);
  if (signer === null) throw new DamageError(key, `signed by a host that this repository does not know (${envelope.keyId.slice(0, 16)})`);
  if (!isSignedBy(envelope, signer)) throw new DamageError(key, "the signature does not fit the content");
  const statement = statementSchema.safeParse(parseJson(key, envelope.payload));
  if (!statement.success) throw new DamageError(key, `unexpected content: ${statement.error.issues[0]?.message}`);
  const { predicate, subject } = statement.data;
  if (key !== keys.evidenceEntry(predicate.writer, predicate.sequence) || predicate.writer !== signer.fingerprint)
    throw new DamageError(key, `was written as entry ${predicate.sequence} of ${predicate.writer.slice(0, 16)}`);
  const { writer, sequence, previous, at, kind, facts } = predicate;
  const digest = sha256(bytes).toString("hex");
  requireBelieved(signer, key, digest);
  return { writer, sequence, previous, at, kind, facts, subject, sha256: digest };
}

const MOST_NAMED_MISSING = 1000;
/** What a run found may be long to tell. */
export const MOST_ENTRY_BYTES = 16 << 20;

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
