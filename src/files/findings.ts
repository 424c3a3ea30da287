/** What a backup of a tree has to say of single files. Never silently wrong: each is named, as far as there is room, and all are counted. */
export const FINDING_KINDS = [
  /** Left out, for it is no file: a socket, a device, what another file system has there. */
  "skipped",
  /** Written to while it was read, each time: what is stored may be of no single moment. */
  "changed",
  /** Longer by the end than when it was read: what is stored is its beginning. */
  "grew",
  /** Gone between being listed and being read. It is not in the backup. */
  "vanished",
  /** Could not be read. It is not in the backup, and should be. */
  "unread",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export interface Finding {
  readonly kind: FindingKind;
  readonly path: string;
  readonly detail: string;
}

/** Named of each kind; the rest is only counted. */
const MOST_NAMED = 1000;

export class Findings {
  readonly #named: Finding[] = [];
  readonly #counts = new Map<FindingKind, number>();

  add(kind: FindingKind, path: string, detail: string): void {
    const count = this.count(kind);
    this.#counts.set(kind, count + 1);
    if (count < MOST_NAMED) this.#named.push({ kind, path, detail });
  }

  count(kind: FindingKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  get named(): readonly Finding[] {
    return this.#named;
  }

  /** How many of each kind, those that are not named too. */
  get counts(): Record<FindingKind, number> {
    return Object.fromEntries(FINDING_KINDS.map((kind) => [kind, this.count(kind)])) as Record<FindingKind, number>;
  }
}
