import { HoldfastError } from "../errors.ts";
import { putIfAbsent } from "../storage/object-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { writeDocument } from "./document.ts";
import { decodeEvidence, encodeEvidence } from "./evidence-entry.ts";
import type { EvidenceEntry, EvidenceKind, Subject } from "./evidence-entry.ts";
import { ENTRY_NAME, listWriters, lookAround, newestNames } from "./evidence-heads.ts";
import { baseName, keys } from "./layout.ts";
import type { WritableRepository } from "./repository.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

/**
 * The evidence log: append-only, one hash chain per writer, each entry a DSSE envelope over an in-toto statement (docs/repository-format.md section 11).
 * Entries are made durable in the state folder of the host first, so that a run against an unreachable repository is on record too, and copied to every repository.
 */
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
      const bytes = encodeEvidence(predicate, subjects, this.#signer);
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

  /** An entry of this host as it lies in its state folder. */
  async bytesOf(sequence: number): Promise<Buffer> {
    return this.#local.read(keys.evidenceEntry(this.writer, sequence));
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
