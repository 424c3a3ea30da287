import type { X509Certificate } from "node:crypto";
import { DamageError } from "../errors.ts";
import type { WriterState } from "../repository/evidence-bundle.ts";
import type { EvidenceEntry } from "../repository/evidence-entry.ts";
import { readStamped, STAMPED } from "../repository/evidence-stamp.ts";
import type { StampedCheckpoint } from "../repository/evidence-stamp.ts";
import { digestOf } from "../repository/evidence-bundle.ts";
import { problemWithStamp, readTimeStamp } from "../repository/time-stamp.ts";
import type { VerifyKey } from "../repository/signing.ts";
import { entryName } from "./bundle-findings.ts";
import type { BundleFindings } from "./bundle-findings.ts";

/** The time stamps in a bundle: whether they are of what they stand for, whose they are, and what time they prove. */
export interface BundleStamps {
  readonly count: number;
  /** Whether they were checked against certificates. If not, nobody has said that they are of an authority. */
  readonly checked: boolean;
  /** As their certificates name them. */
  readonly authorities: readonly string[];
  /** Of each log, the last that is proved: this entry, and so all before it, was there at that time. */
  readonly proved: readonly ProvedTime[];
}

interface ProvedTime {
  readonly writer: string;
  readonly sequence: number;
  readonly at: string;
}

/** The clock of a host may be so much off before it counts as not to be believed. */
const TOLERANCE_MS = 600_000;

interface Stamp extends ProvedTime {
  readonly where: string;
  readonly heads: StampedCheckpoint["heads"];
}

interface Clock {
  /** The time of the last stamp: what follows was written after it. */
  notBeforeMs: number;
  /** The latest that the entries since then say. */
  latestMs: number;
  latest: string;
}

/** Told of every entry in its order. */
export class StampReading {
  readonly #findings: BundleFindings;
  readonly #roots: readonly X509Certificate[] | null;
  readonly #stamps: Stamp[] = [];
  readonly #authorities = new Set<string>();
  readonly #clocks = new Map<string, Clock>();

  /** `roots`: certificates that vouch for the authority, which came another way than the bundle; null: none were given. */
  constructor(findings: BundleFindings, roots: readonly X509Certificate[] | null) {
    this.#findings = findings;
    this.#roots = roots;
  }

  async take(where: string, entry: EvidenceEntry, findSigner: (fingerprint: string) => VerifyKey): Promise<void> {
    const clock = this.#clockOf(entry.writer);
    const saysMs = Date.parse(entry.at);
    if (saysMs < clock.notBeforeMs - TOLERANCE_MS)
      this.#doubt(where, `its host says ${entry.at}, but it was written after ${iso(clock.notBeforeMs)} by the clock of the authority`);
    if (saysMs > clock.latestMs) [clock.latestMs, clock.latest] = [saysMs, where];
    if (entry.kind !== STAMPED) return;
    try {
      await this.#takeStamp(where, entry, readStamped(entry, findSigner), clock);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      this.#findings.invalid(where, error.reason);
    }
  }

  /** With what the bundle says of the logs. `judge` finds what a checkpoint names that is not in its log. */
  judge(writers: readonly WriterState[], judge: (where: string, head: ProvedHead) => void): void {
    const sizes = new Map(writers.map(({ writer, size }) => [writer, size]));
    for (const { where, writer, heads } of this.#stamps)
      // Logs of others may have been further in the repository whose checkpoint it was.
      for (const head of heads) if (head.writer === writer || head.sequence <= (sizes.get(head.writer) ?? 0)) judge(where, head);
  }

  stamps(): BundleStamps {
    const last = new Map(this.#stamps.map(({ writer, sequence, at }) => [writer, { writer, sequence, at }]));
    return { count: this.#stamps.length, checked: this.#roots !== null, authorities: [...this.#authorities], proved: [...last.values()] };
  }

  async #takeStamp(where: string, { writer, sequence }: EvidenceEntry, stamped: StampedCheckpoint, clock: Clock): Promise<void> {
    const [own] = stamped.heads;
    if (own === undefined || own.sequence >= sequence) throw new DamageError(where, "it is over what was written after it");
    const { sha256, at, authority } = await readTimeStamp(where, stamped.stamp);
    if (sha256 !== digestOf(stamped.checkpoint)) throw new DamageError(where, "the time stamp is of another content than the checkpoint beside it");
    if (at.getTime() !== Date.parse(stamped.at)) throw new DamageError(where, "the time stamp says another time than the entry");
    if (this.#roots !== null) {
      const problem = await problemWithStamp(stamped.stamp, stamped.checkpoint, this.#roots);
      if (problem !== null) throw new DamageError(where, `the time stamp: ${problem}`);
      if (at.getTime() < clock.notBeforeMs) throw new DamageError(where, "the time stamp is older than one before it");
      if (clock.latestMs > at.getTime() + TOLERANCE_MS)
        this.#doubt(clock.latest, `its host says ${iso(clock.latestMs)}, but it was there already at ${iso(at.getTime())} by the clock of the authority`);
      [clock.notBeforeMs, clock.latestMs] = [at.getTime(), 0];
    }
    this.#authorities.add(authority);
    this.#stamps.push({ where, writer, sequence: own.sequence, at: iso(at.getTime()), heads: stamped.heads });
  }

  /** Only by an authority that somebody vouches for: then `notBeforeMs` is 0 otherwise. */
  #doubt(where: string, reason: string): void {
    this.#findings.open(where, reason);
  }

  #clockOf(writer: string): Clock {
    let clock = this.#clocks.get(writer);
    if (clock === undefined) this.#clocks.set(writer, (clock = { notBeforeMs: 0, latestMs: 0, latest: entryName(writer, 1) }));
    return clock;
  }
}

export type ProvedHead = StampedCheckpoint["heads"][number];

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
