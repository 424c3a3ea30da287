/**
 * What a simulation takes for granted about a database: how large it is, how fast it changes and moves. Nothing here is measured; whoever shows a result says so.
 */
export interface Assumptions {
  /** Size on the first day. */
  readonly databaseBytes: number;
  readonly dailyGrowthBytes: number;
  /** Which part of the pages changes in a day, 0 to 1. The same page changed twice counts once. */
  readonly dailyChange: number;
  /** Bytes of the database for one byte stored. */
  readonly compression: number;
  readonly dailyWalBytes: number;
  readonly backupBytesPerSecond: number;
  readonly restoreBytesPerSecond: number;
  readonly replayBytesPerSecond: number;
}

/** A middling database on middling disks. Each can be replaced by what is known. */
export const DEFAULT_ASSUMPTIONS: Assumptions = {
  databaseBytes: 100e9,
  dailyGrowthBytes: 0,
  dailyChange: 0.02,
  compression: 3,
  dailyWalBytes: 4e9,
  backupBytesPerSecond: 100e6,
  restoreBytesPerSecond: 100e6,
  replayBytesPerSecond: 50e6,
};

const DAY_MS = 86_400_000;

export class SimulationModel {
  readonly #assumed: Assumptions;
  readonly #from: Date;

  constructor(assumed: Assumptions, from: Date) {
    this.#assumed = assumed;
    this.#from = from;
  }

  databaseBytes(at: Date): number {
    return this.#assumed.databaseBytes + this.#assumed.dailyGrowthBytes * days(this.#from, at);
  }

  /** What a backup reads: all of it, or the pages that changed since its parent. */
  readBytes(at: Date, parentAt: Date | null): number {
    const all = this.databaseBytes(at);
    if (parentAt === null) return all;
    const changed = all * (1 - (1 - this.#assumed.dailyChange) ** days(parentAt, at));
    return Math.min(all, changed + this.#assumed.dailyGrowthBytes * days(parentAt, at));
  }

  storedBytes(bytes: number): number {
    return Math.round(bytes / this.#assumed.compression);
  }

  walBytes(from: Date, until: Date): number {
    return Math.max(0, this.#assumed.dailyWalBytes * days(from, until));
  }

  backupSeconds(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.#assumed.backupBytesPerSecond));
  }

  /** Every page is written once, however long the chain is. */
  restoreSeconds(at: Date): number {
    return Math.ceil(this.databaseBytes(at) / this.#assumed.restoreBytesPerSecond);
  }

  replaySeconds(from: Date, until: Date): number {
    return Math.ceil(this.walBytes(from, until) / this.#assumed.replayBytesPerSecond);
  }
}

function days(from: Date, until: Date): number {
  return (until.getTime() - from.getTime()) / DAY_MS;
}
