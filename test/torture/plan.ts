import { CRASH_POINTS } from "../../src/crash-points.ts";
import type { CrashPoint } from "../../src/crash-points.ts";
import { Random } from "../support/random.ts";

/**
 * What a seed stands for: a cluster, a policy, and what happens in which order. Pure, so that a seed that failed can be told in words before it is run again.
 * What cannot be known before (LSNs, names, rows) is drawn while it runs, from numbers of the same seed.
 */
export interface SeedPlan {
  readonly seed: number;
  readonly major: number;
  readonly checksums: boolean;
  readonly walLogHints: boolean;
  readonly reader: "remote" | "local";
  /** Who says what changed: the server (17 and newer), or we. */
  readonly summaries: "server" | "own";
  readonly segmentMegabytes: number;
  /** How many backups of each type stay. */
  readonly keepLast: number;
  /** The server vacuums when it likes, as it would elsewhere: what one seed does is then not quite the same each time. */
  readonly autovacuum: boolean;
  readonly steps: readonly Step[];
  /** Points to restore at the end. */
  readonly restores: number;
}

/** Armed for one command: it dies at the nth time it comes there, if it does. */
export interface CrashOrder {
  readonly point: CrashPoint;
  readonly nth: number;
}

export type Step =
  | { readonly kind: "change" }
  | { readonly kind: "mark" }
  | { readonly kind: "backup"; readonly type: BackupKind; readonly beside: Beside; readonly crash: CrashOrder | null }
  | { readonly kind: "stream"; readonly how: "stop" | "kill" | "pause"; readonly crash: null }
  | { readonly kind: "stream"; readonly how: "crash"; readonly crash: CrashOrder }
  | { readonly kind: "server"; readonly how: "restart" | "kill" | "kill in a load" }
  | { readonly kind: "expire"; readonly crash: CrashOrder | null }
  | { readonly kind: "promote"; readonly how: "standby" | "lagging standby" | "restored" };

type BackupKind = "full" | "incr" | "diff";
/** What goes on while a backup is taken. */
type Beside = "nothing" | "writer" | "workload";

export function planSeed(seed: number, majors: readonly number[]): SeedPlan {
  const random = new Random(`torture/${seed}`);
  const major = random.pick(majors);
  return {
    seed,
    major,
    checksums: random.chance(0.5),
    walLogHints: random.chance(0.5),
    reader: random.pick(["remote", "local"]),
    summaries: major >= 17 && random.chance(0.5) ? "server" : "own",
    segmentMegabytes: random.pick([1, 1, 1, 4, 16]),
    keepLast: random.pick([1, 1, 2, 2, 3]),
    autovacuum: random.chance(0.3),
    steps: planSteps(random),
    restores: random.chance(0.2) ? 3 : 2,
  };
}

export function describePlan({ seed, major, checksums, walLogHints, reader, summaries, steps }: SeedPlan): string {
  return `seed ${seed}: PostgreSQL ${major}, checksums ${onOff(checksums)}, wal_log_hints ${onOff(walLogHints)}, ${reader} reader, ${summaries} summaries; ${steps.map(describeStep).join(", ")}`;
}

export function describeStep(step: Step): string {
  const crash = "crash" in step && step.crash !== null ? ` dying at ${step.crash.point}:${step.crash.nth}` : "";
  switch (step.kind) {
    case "change":
    case "mark":
      return step.kind;
    case "backup":
      return `${step.type}${step.beside === "nothing" ? "" : ` beside ${step.beside}`}${crash}`;
    case "stream":
    case "server":
    case "promote":
      return `${step.kind} (${step.how})${crash}`;
    case "expire":
      return `expire${crash}`;
  }
}

const onOff = (value: boolean): string => (value ? "on" : "off");

/** A full, then three or four rounds of: changes, something that goes wrong or not, a backup, a moment to come back to. */
function planSteps(random: Random): Step[] {
  const steps: Step[] = [backup(random, "full", 0.1), { kind: "change" }, { kind: "mark" }];
  const rounds = random.integer(3, 4);
  // Most seeds have one chain that only grows; some begin again in the middle, and there is something to expire.
  const fullChance = random.chance(0.65) ? 0 : 0.5;
  const expireChance = fullChance === 0 ? 0.22 : 0.6;
  let promotions = 0;
  for (let round = 0; round < rounds; round++) {
    steps.push({ kind: "change" });
    const event = eventOf(random, promotions);
    if (event !== null) {
      if (event.kind === "promote") promotions++;
      steps.push(event, { kind: "change" });
      if (random.chance(0.4)) steps.push({ kind: "mark" });
    }
    steps.push(backup(random, random.chance(fullChance) ? "full" : random.pick(["incr", "incr", "incr", "diff"]), 0.3));
    if (random.chance(0.8)) steps.push({ kind: "change" });
    steps.push({ kind: "mark" });
    if (random.chance(expireChance)) steps.push({ kind: "expire", crash: random.chance(0.5) ? crashIn(random, "expire.") : null });
  }
  return steps;
}

const MOST_PROMOTIONS = 2;

function eventOf(random: Random, promotions: number): Step | null {
  const drawn = random.next();
  if (drawn < 0.22) return promotions < MOST_PROMOTIONS ? { kind: "promote", how: random.pick(["standby", "lagging standby", "restored"]) } : null;
  if (drawn < 0.42) return { kind: "stream", how: "crash", crash: crashIn(random, "wal.") };
  if (drawn < 0.57) return { kind: "stream", how: random.pick(["stop", "kill", "pause"]), crash: null };
  if (drawn < 0.75) return { kind: "server", how: random.pick(["restart", "kill", "kill in a load"]) };
  return null;
}

function backup(random: Random, type: BackupKind, crashChance: number): Step {
  return { kind: "backup", type, beside: random.pick(["nothing", "writer", "workload"]), crash: random.chance(crashChance) ? crashIn(random, "backup.") : null };
}

/** Places passed once in a run, and those passed many times: there the run dies somewhere on the way. */
const OFTEN: Partial<Record<CrashPoint, number>> = {
  "backup.copying": 30,
  "restore.copying": 30,
  "restore.wal": 2,
  "wal.before-part": 3,
  "wal.after-part": 3,
  "wal.before-segment": 3,
};

export function crashIn(random: Random, group: string): CrashOrder {
  const point = random.pick(CRASH_POINTS.filter((name) => name.startsWith(group)));
  return { point, nth: random.integer(1, OFTEN[point] ?? 1) };
}
