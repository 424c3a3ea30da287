import { nextBackupId } from "./backup-id.ts";
import type { BackupType } from "./backup-id.ts";
import { chooseParent } from "./chain.ts";
import type { ClusterFacts } from "./chain.ts";
import type { FeasibilityBackup } from "./feasibility.ts";
import { lsn } from "./lsn.ts";
import { dueWork, nextSlot } from "./schedule.ts";
import type { SimulatedBackup, SimulatedCopy } from "./simulated-copy.ts";
import type { SimulationModel } from "./simulation-model.ts";
import { emptyHistory } from "./timeline.ts";
import { mayBegin, nextClosing, nextOpening } from "./window.ts";
import type { BackupWindows } from "./window.ts";

/** One backup that begins, with what it does to the slots. */
export interface SimulatedStart {
  readonly rule: FeasibilityBackup;
  readonly slot: Date;
  readonly missed: number;
}

export interface BackupPlan extends BackupWindows {
  readonly backups: readonly FeasibilityBackup[];
}

/** What is due when, as the scheduler decides it: asked at each moment that could change the answer. */
export class BackupTurns {
  readonly #plan: BackupPlan;
  readonly #handled = new Map<BackupType, Date>();
  #hasBackup = false;

  constructor(plan: BackupPlan) {
    this.#plan = plan;
  }

  /** What begins now, if anything, and how many slots are superseded. */
  take(now: Date): { readonly start: SimulatedStart | null; readonly superseded: number } {
    const inputs = this.#plan.backups.map(({ type, schedule }) => ({ type, schedule, lastHandled: this.#handled.get(type) ?? null }));
    const { decisions, older } = dueWork(inputs, now);
    const superseded = decisions.filter(({ decision }) => decision === "superseded");
    for (const { type, slot } of superseded) this.#handled.set(type, slot);
    const at = { hasBackup: this.#hasBackup, now };
    const next = decisions.find(({ decision, type }) => decision === "run" && mayBegin(type, this.#plan, at));
    const rule = this.#plan.backups.find(({ type }) => type === next?.type);
    if (next === undefined || rule === undefined) return { start: null, superseded: superseded.length };
    this.#handled.set(next.type, next.slot);
    this.#hasBackup = true;
    const listed = decisions.filter(({ type, decision }) => type === next.type && decision === "missed").length;
    const missed = older.filter(({ type }) => type === next.type).reduce((sum, { count }) => sum + count, listed);
    return { start: { rule, slot: next.slot, missed }, superseded: superseded.length };
  }

  /** The next moment at which something may begin, after nothing could at `now`. */
  nextTurn(now: Date): Date {
    const slots = this.#plan.backups.flatMap(({ schedule }) => nextSlot(schedule, now) ?? []);
    const changes = [nextOpening(this.#plan.heavy, now), nextClosing(this.#plan.blackout, now)].flatMap((at) => (at !== null && at > now ? [at] : []));
    return new Date(Math.min(8.64e15, ...[...slots, ...changes].map((at) => at.getTime())));
  }
}

/** Chains form as they do for one server that is never replaced. */
const SERVER: ClusterFacts = { systemIdentifier: "1", major: 18, catalogVersion: 1, blockSize: 8192, segmentBlocks: 131_072, walSegmentBytes: 16 << 20, dataChecksums: true };

/** The backup that is made, with the parent that every copy it goes to holds; without one it becomes a full. */
export function makeBackup(requested: FeasibilityBackup, now: Date, copies: ReadonlyMap<string, SimulatedCopy>, model: SimulationModel): SimulatedBackup {
  const places = requested.repositories.flatMap((name) => copies.get(name) ?? []);
  const [first, ...others] = places.map(({ backups }) => backups);
  const common = (first ?? []).filter(({ id }) => others.every((backups) => backups.some((other) => other.id === id)));
  const candidates = common.map(({ id, type, at, state }) => ({ ...SERVER, id, type, timeline: 1, stopLsn: lsn(BigInt(at.getTime())), corrupt: state !== "complete" }));
  const { parent } = chooseParent(requested.type, candidates, SERVER, emptyHistory(1));
  const from = common.find(({ id }) => id === parent);
  const type = from === undefined ? "full" : requested.type;
  const readBytes = model.readBytes(now, from?.startedAt ?? null);
  const existing = places.flatMap(({ backups }) => backups.map(({ id }) => id));
  return {
    id: nextBackupId(now, type, existing),
    type,
    startedAt: now,
    at: new Date(now.getTime() + model.backupSeconds(readBytes) * 1000),
    ancestors: from === undefined ? [] : [...from.ancestors, from.id],
    state: "complete",
    readBytes,
    storedBytes: model.storedBytes(readBytes),
    repositories: requested.repositories,
  };
}
