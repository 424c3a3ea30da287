import type { DamageError } from "../../errors.ts";

/** What verification found wrong, and whom it hurts. */
export interface Damage {
  readonly repository: string;
  readonly object: string;
  readonly kind: "missing" | "damaged";
  readonly reason: string;
  /** Backups that cannot be restored because of it, or not as they were. */
  readonly backups: readonly string[];
  /** Stretches of time travel lost with it, in words: `timeline 1 from 0/3000000`. */
  readonly windowsLost: readonly string[];
}

export interface VerifyTotals {
  objects: number;
  bytes: number;
}

/** Collects damage; one object is reported once, by its first reason. */
export class DamageReport {
  readonly #repository: string;
  readonly #found = new Map<string, Damage>();

  constructor(repository: string) {
    this.#repository = repository;
  }

  add(error: DamageError, hurt: { backups?: readonly string[]; windowsLost?: readonly string[] } = {}): void {
    const before = this.#found.get(error.object);
    const backups = [...new Set([...(before?.backups ?? []), ...(hurt.backups ?? [])])].toSorted();
    const windowsLost = [...new Set([...(before?.windowsLost ?? []), ...(hurt.windowsLost ?? [])])];
    this.#found.set(error.object, {
      repository: this.#repository,
      object: error.object,
      kind: before?.kind ?? error.kind,
      reason: before?.reason ?? error.reason,
      backups,
      windowsLost,
    });
  }

  /** Takes over what another report found. */
  take(damage: Damage): void {
    this.#found.set(damage.object, damage);
  }

  has(object: string): boolean {
    return this.#found.has(object);
  }

  get found(): Damage[] {
    return [...this.#found.values()];
  }
}
