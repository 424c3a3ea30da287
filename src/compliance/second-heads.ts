import { DamageError } from "../errors.ts";
import { digestOf } from "../repository/evidence-bundle.ts";
import { decodeEvidence } from "../repository/evidence-entry.ts";
import type { VerifyKey } from "../repository/signing.ts";
import { entryName } from "./bundle-findings.ts";
import type { BundleFindings } from "./bundle-findings.ts";
import type { WriterState } from "../repository/evidence-bundle.ts";

/** The last entry of each host that lies in a second place: all before it are named by it. */
export interface SecondHead {
  readonly writer: string;
  readonly sequence: number;
  readonly key: string;
  readonly bytes: Buffer;
}

/** Compares a bundle with what came to a second place as it happened: what is there has to be here. */
export class SecondComparison {
  readonly #findings: BundleFindings;
  readonly #heads: ReadonlyMap<string, SecondHead>;
  readonly #seen = new Set<string>();

  /** What no known key signed says nothing: anybody may have put it there. */
  constructor(findings: BundleFindings, heads: readonly SecondHead[], publicKeys: ReadonlyMap<string, VerifyKey>) {
    this.#findings = findings;
    this.#heads = new Map(heads.filter((head) => this.#isSigned(head, publicKeys)).map((head) => [head.writer, head]));
  }

  /** An entry of the bundle, with its digest. */
  take(writer: string, sequence: number, digest: string): void {
    const head = this.#heads.get(writer);
    if (head === undefined || head.sequence !== sequence) return;
    this.#seen.add(writer);
    if (digest !== digestOf(head.bytes)) this.#findings.invalid(entryName(writer, sequence), "another entry lies in its place in the second place: the log was written anew");
  }

  judge(writers: readonly WriterState[]): void {
    for (const { writer, sequence } of this.#heads.values()) {
      const size = writers.find((state) => state.writer === writer)?.size ?? 0;
      const where = entryName(writer, sequence);
      if (sequence > size) this.#findings.invalid(where, `it lies in the second place, and the log here ends with ${size}: its end was cut off`);
      else if (!this.#seen.has(writer)) this.#findings.open(where, "it is the last in the second place, and not in this part of the log: export the whole of it");
    }
  }

  #isSigned({ writer, key, bytes, sequence }: SecondHead, publicKeys: ReadonlyMap<string, VerifyKey>): boolean {
    try {
      decodeEvidence(key, bytes, (fingerprint) => publicKeys.get(fingerprint) ?? null);
      return true;
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      this.#findings.open(`${entryName(writer, sequence)} in the second place`, error.reason);
      return false;
    }
  }
}
