import { CRASH_POINTS } from "../../src/crash-points.ts";
import type { CrashPoint } from "../../src/crash-points.ts";

/** Operations that plans have. The points of others are gone through where those are tested. */
const OF_PLANS = /^(?:backup|wal|restore|expire)\./;

/** What a run has done, so that "nothing was found" can be weighed. */
export class Tally {
  readonly operations = new Map<string, number>();
  readonly chains = new Map<number, number>();
  readonly crashes = new Map<CrashPoint, number>();
  readonly points = new Map<string, number>();
  pointsElsewhere = 0;

  /** One more of a kind. */
  did(operation: string): void {
    bump(this.operations, operation, 1);
  }

  crash(point: CrashPoint): void {
    bump(this.crashes, point, 1);
    this.did("crash of holdfast");
  }

  chain(length: number): void {
    bump(this.chains, length, 1);
  }

  /** A point that was restored and judged. */
  point(kind: string, timeline: number): void {
    bump(this.points, kind, 1);
    if (timeline !== 1) this.pointsElsewhere++;
  }

  get pointCount(): number {
    return [...this.points.values()].reduce((sum, count) => sum + count, 0);
  }

  get neverHit(): CrashPoint[] {
    return CRASH_POINTS.filter((point) => OF_PLANS.test(point) && !this.crashes.has(point));
  }

  add(other: Tally): void {
    for (const [name, count] of other.operations) bump(this.operations, name, count);
    for (const [length, count] of other.chains) bump(this.chains, length, count);
    for (const [point, count] of other.crashes) bump(this.crashes, point, count);
    for (const [kind, count] of other.points) bump(this.points, kind, count);
    this.pointsElsewhere += other.pointsElsewhere;
  }

  lines(): string[] {
    return [
      `operations: ${listed(this.operations)}`,
      `longest chain of a seed: ${[...this.chains]
        .toSorted(([a], [b]) => a - b)
        .map(([length, count]) => `${length} in ${count} seeds`)
        .join(", ")}`,
      `recovery points: ${this.pointCount} (${listed(this.points)}), ${this.pointsElsewhere} of them on timelines other than the first`,
      `crash points hit: ${listed(this.crashes)}`,
      `crash points never hit: ${this.neverHit.length === 0 ? "none" : this.neverHit.join(", ")}`,
    ];
  }
}

function bump<K>(counts: Map<K, number>, key: K, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function listed(counts: ReadonlyMap<string, number>): string {
  const entries = [...counts].toSorted(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
  return entries.length === 0 ? "none" : entries.join(", ");
}
