/** What the check of a bundle found. `invalid`: something was changed, left out or slipped in. `open`: it cannot be said with these keys and this bundle. */
export interface BundleFinding {
  readonly kind: "invalid" | "open";
  /** Which line, entry or writer. */
  readonly where: string;
  /** For people. */
  readonly reason: string;
}

export type BundleVerdict = "valid" | "invalid" | "indeterminate";

/** So many are named; the rest is counted: a bundle where every line is wrong shall not fill the memory. */
const MOST_NAMED = 100;

export class BundleFindings {
  readonly named: BundleFinding[] = [];
  #invalid = 0;
  #open = 0;

  invalid(where: string, reason: string): void {
    this.#invalid += 1;
    this.#name({ kind: "invalid", where, reason });
  }

  open(where: string, reason: string): void {
    this.#open += 1;
    // What a hundred entries of one writer leave open is one thing.
    if (!this.named.some((finding) => finding.where === where && finding.reason === reason)) this.#name({ kind: "open", where, reason });
  }

  get verdict(): BundleVerdict {
    return this.#invalid > 0 ? "invalid" : this.#open > 0 ? "indeterminate" : "valid";
  }

  #name(finding: BundleFinding): void {
    if (this.named.length < MOST_NAMED) this.named.push(finding);
  }
}

/** `entry 12 of 3f9a…` */
export function entryName(writer: string, sequence: number): string {
  return `entry ${sequence} of ${shortKey(writer)}`;
}

export function shortKey(fingerprint: string): string {
  return `${fingerprint.slice(0, 16)}…`;
}
