import { jitterSeconds } from "../../src/domain/jitter.ts";
import type { Pause } from "../../src/domain/pause.ts";
import type { DueTask } from "../../src/scheduler/tasks.ts";

/** What becomes of made-up work, always the same for one source and slot: some of it fails, now and then nothing runs, and some sources are paused. */
export interface Fate {
  readonly outcome: "succeeded" | "failed";
  readonly seconds: number;
  readonly figures: object;
}

export interface Fates {
  /** `slot`: that of the task. */
  endOf(task: DueTask, slot: Date): Fate;
  /** Whether nothing runs at all for a source at a moment, and nobody is there to say so. */
  isAway(source: string, at: Date): boolean;
  pauseOf(source: string, at: Date): Pause | null;
}

const DAY_MS = 86_400_000;

/** Per mille of attempts that fail. */
const FAILING = { log: 1, backup: 10, expire: 1, verify: 5, drill: 20 } as const;

/** The scheduler is away for two hours of every fortieth day; one source in twenty is paused for two days in each hundred. */
export class YearFates implements Fates {
  readonly #from: Date;
  readonly #pauses = new Map<string, Pause>();
  readonly #numbers = new Map<string, number>();

  constructor(from: Date) {
    this.#from = from;
  }

  endOf({ source, operation, type, slot, attempt }: DueTask, slotAt: Date): Fate {
    const chance = jitterSeconds(`${source} ${operation} ${type} ${attempt}`, slotAt, 1000);
    const outcome = chance < FAILING[operation] ? "failed" : "succeeded";
    return { outcome, seconds: SECONDS[operation], figures: outcome === "failed" ? {} : figuresOf(operation, type, slot) };
  }

  isAway(_source: string, at: Date): boolean {
    const sinceMs = at.getTime() - this.#from.getTime();
    return Math.floor(sinceMs / DAY_MS) % 40 === 17 && sinceMs % DAY_MS < 2 * 3_600_000;
  }

  pauseOf(source: string, at: Date): Pause | null {
    const number = this.#numberOf(source);
    if (number % 20 !== 3) return null;
    const day = Math.floor((at.getTime() - this.#from.getTime()) / DAY_MS);
    const first = day - (day % 100) + (number % 80) + 10;
    if (day < first || day >= first + 2) return null;
    const key = `${source} ${first}`;
    let pause = this.#pauses.get(key);
    if (pause === undefined) {
      const from = new Date(this.#from.getTime() + first * DAY_MS);
      this.#pauses.set(key, (pause = { from, until: new Date(from.getTime() + 2 * DAY_MS), reason: "storage is being moved" }));
    }
    return pause;
  }

  #numberOf(source: string): number {
    let number = this.#numbers.get(source);
    if (number === undefined) this.#numbers.set(source, (number = Number(source.replaceAll(/\D/g, ""))));
    return number;
  }
}

const SECONDS = { log: 2, backup: 600, expire: 3, verify: 900, drill: 1200 } as const;

/** As long as they are in earnest. */
function figuresOf(operation: DueTask["operation"], type: string | null, slot: string): object {
  switch (operation) {
    case "log":
      return { timeline: 1, durableLsn: "12/34567890", coveredUntil: slot };
    case "backup":
      return { ...BACKUP, id: `${slot.slice(0, 19).replaceAll(/[-:]/g, "")}Z-${type}`, type, startedAt: slot, finishedAt: slot };
    case "expire":
      return { dryRun: false, repositories: ["onsite", "cloud"].map((repository) => ({ ...EXPIRED, repository })) };
    case "verify":
      return { ok: true, tier: "decoded", objects: 4120, bytes: 734_003_200_000, damage: [], repositories: ["onsite", "cloud"] };
    case "drill":
      return DRILL;
  }
}

const COPY = { state: "complete", verifiedTier: null, verifiedAt: null, error: null };
const BACKUP = {
  state: "complete",
  parentId: "20261101T020000Z-full",
  startLsn: "12/34000028",
  stopLsn: "12/34567890",
  sourceBytes: 107_374_182_400,
  readBytes: 1_073_741_824,
  storedBytes: 536_870_912,
  durationSeconds: 600.25,
  changeSource: "own-summaries",
  changeSourceReason: "the WAL that was stored says which blocks changed since the parent began",
  corruptPages: 0,
  copies: [
    { ...COPY, repository: "onsite" },
    { ...COPY, repository: "cloud" },
  ],
};
const EXPIRED = {
  kept: 61,
  expired: [],
  held: [{ id: "20261101T020000Z-full", heldBy: ["20261102T020000Z-incr"] }],
  walSegments: 4,
  walKeptFrom: "000000010000001200000034",
  removedObjects: 4,
  removedBytes: 67_108_864,
};
const DRILL = {
  verdict: "pass",
  fault: null,
  reasons: [],
  backupId: "20261101T020000Z-full",
  repository: "onsite",
  target: "latest",
  expectedLsn: "12/34567890",
  achievedLsn: "12/34567890",
  heartbeatOk: null,
  rtoActualSeconds: 1200.5,
  rtoObjectiveSeconds: 14_400,
  rpoActualSeconds: 2.25,
  rpoObjectiveSeconds: 3600,
  phases: [
    { name: "restore", seconds: 1000.1 },
    { name: "recover", seconds: 100.2 },
  ],
  checks: [{ name: "reached the target", required: true, outcome: "pass", detail: "12/34567890", fault: "backup" }],
  bytes: 107_374_182_400,
  walSegments: 12,
  keptAt: null,
  seed: "9b1c0de29b1c0de29b1c0de29b1c0de2",
};
