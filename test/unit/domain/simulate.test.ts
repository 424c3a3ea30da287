import { expect, test } from "vitest";
import type { FeasibilityBackup } from "../../../src/domain/feasibility.ts";
import type { RetentionRule } from "../../../src/domain/retention.ts";
import { simulate } from "../../../src/domain/simulate.ts";
import type { Simulation, SimulationInput } from "../../../src/domain/simulate.ts";
import { DEFAULT_ASSUMPTIONS } from "../../../src/domain/simulation-model.ts";
import type { SimulatedProblem } from "../../../src/domain/simulation-problems.ts";

const DAY = 86_400;
const NO_RULE: RetentionRule = { keepForSeconds: null, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null };

/** Daily at 02:00, kept for 30 days, on site. */
function backup(more: Partial<FeasibilityBackup> = {}): FeasibilityBackup {
  return {
    type: "full",
    schedule: { kind: "cron", expression: "0 2 * * *", zone: "UTC" },
    retention: { ...NO_RULE, keepForSeconds: 30 * DAY },
    repositories: ["onsite"],
    recoveryTimeBudgetSeconds: null,
    ...more,
  };
}

const STREAMED: SimulationInput["log"] = { schedule: { kind: "stream" }, retentionSeconds: DAY, repositories: ["onsite"], recoveryTimeBudgetSeconds: null };

function play(more: Partial<SimulationInput>): Simulation {
  const simulation = simulate({
    objectives: { rtoSeconds: DAY, rpoSeconds: 300 },
    backups: [backup()],
    log: STREAMED,
    heavy: [],
    blackout: [],
    verify: null,
    drills: null,
    expire: { kind: "every", seconds: 3600 },
    from: new Date("2026-11-23T00:00Z"),
    days: 30,
    assumptions: DEFAULT_ASSUMPTIONS,
    defaulted: new Set(),
    ...more,
  });
  if (simulation === null) throw new Error("too many backups");
  return simulation;
}

const shown = ({ problems }: Simulation): string[] => problems.map(({ severity, kind, repository, type }) => [severity, kind, repository, type].filter(Boolean).join(" "));
const problem = ({ problems }: Simulation, kind: SimulatedProblem["kind"]): SimulatedProblem | undefined => problems.find((one) => one.kind === kind);

test("one backup a day with a streamed log holds, and what is there settles at what retention keeps", () => {
  const simulation = play({ days: 60 });
  expect(simulation.runs).toMatchObject({ full: 61, superseded: 0, missed: 0, log: 0, expire: 60 * 24 - 1 });
  expect(simulation.days.at(-1)?.repositories).toEqual([
    {
      repository: "onsite",
      full: 30,
      differential: 0,
      incremental: 0,
      chains: 30,
      longestChain: 1,
      heldForDependents: 0,
      lockedOnly: 0,
      recoveryPoints: 30,
      backupBytes: 30 * 33_333_333_333,
      // From the start of the backup before the window on (46 hours), and of 28 older ones the WAL from their start to their stop.
      walBytes: Math.round((4e9 * (46 / 24 + (28 * 1000) / DAY)) / 3),
      recoverableFrom: new Date("2027-01-20T02:16:40Z"),
      oldestRecoveryPoint: new Date("2026-12-23T02:16:40Z"),
    },
  ]);
  expect(shown(simulation)).toEqual(["note unprotected onsite", "note single-points onsite"]);
});

test("where backups are locked, expiry takes them when retention and the margin of their locks are over", () => {
  const locked = play({ days: 60, locks: new Map([["onsite", { marginSeconds: 7 * DAY }]]) }).days.at(-1)?.repositories[0];
  // As without locks, but for a week of backups that nobody wants any more.
  expect(locked).toMatchObject({ full: 37, recoveryPoints: 30, heldForDependents: 0, lockedOnly: 7, oldestRecoveryPoint: new Date("2026-12-23T02:16:40Z") });
  expect(locked?.backupBytes).toBe(37 * 33_333_333_333);
  expect(play({ days: 60, locks: new Map([["elsewhere", { marginSeconds: 1 }]]) }).days.at(-1)?.repositories[0]).toMatchObject({ full: 30, lockedOnly: 0 });
});

test("log backups every 15 minutes break an objective of 5, each time, and streaming is proposed", () => {
  const simulation = play({ days: 2, log: { ...STREAMED, schedule: { kind: "every", seconds: 900 } } });
  expect(problem(simulation, "rpo")).toEqual({
    kind: "rpo",
    severity: "breach",
    repository: "onsite",
    type: "log",
    from: new Date("2026-11-23T00:21:40Z"),
    until: new Date("2026-11-25T00:00:00Z"),
    times: 2 * 96 - 1,
    worstSeconds: 900,
    objectiveSeconds: 300,
    assumed: false,
    message: "the copy in 'onsite' loses up to 15m between log backups; the recovery point objective is 5m",
    hint: "stream the log: log: { schedule: stream, … }",
  });
  expect(problem(play({ log: { ...STREAMED, schedule: { kind: "every", seconds: 300 } } }), "rpo")).toBeUndefined();
});

test("a log that rests at night breaks the objective once a night", () => {
  const simulation = play({ days: 10, log: { ...STREAMED, schedule: { kind: "cron", expression: "*/5 6-21 * * *", zone: "UTC" } } });
  expect(problem(simulation, "rpo")).toMatchObject({ severity: "breach", times: 10, worstSeconds: 8 * 3600 + 300 });
});

test("a copy without a log is a warning while another copy holds, and a breach where none does", () => {
  const twice = backup({ repositories: ["onsite", "cloud"] });
  const simulation = play({ days: 3, backups: [twice] });
  expect(problem(simulation, "rpo")).toMatchObject({ severity: "warning", repository: "cloud", times: 4, worstSeconds: DAY });
  expect(shown(play({ backups: [twice], log: null })).filter((line) => line.includes("rpo"))).toEqual(["breach rpo onsite", "breach rpo cloud"]);
});

test("where no full backup goes, another becomes one, and no retention is about it", () => {
  const differential = backup({ type: "differential", schedule: { kind: "every", seconds: 21_600 }, repositories: ["onsite"] });
  const simulation = play({ backups: [backup({ repositories: ["cloud"] }), differential] });
  // The first of them; all that follow are made from it, and it is never taken away.
  expect(problem(simulation, "full-instead")).toMatchObject({ times: 1 });
  expect(simulation.days.at(-1)?.repositories.find(({ repository }) => repository === "onsite")).toMatchObject({ full: 1 });
  expect(shown(simulation)).toEqual(expect.arrayContaining(["breach full-instead differential", "warning never-expires onsite full"]));
});

test("backups that go before the log does leave less than the window that is promised", () => {
  const short = play({ backups: [backup({ retention: { ...NO_RULE, keepForSeconds: DAY / 2 } })] });
  expect(problem(short, "window-short")).toMatchObject({ severity: "breach", objectiveSeconds: DAY });
  expect(problem(play({}), "window-short")).toBeUndefined();
});

test("a full that a kept differential was made from stays, and is counted as held, not as a recovery point", () => {
  const backups = [
    backup({ schedule: { kind: "cron", expression: "0 2 * * 0", zone: "UTC" }, retention: { ...NO_RULE, keepForSeconds: DAY } }),
    backup({ type: "differential", retention: { ...NO_RULE, keepForSeconds: 7 * DAY } }),
  ];
  const simulation = play({ days: 40, backups });
  // Wednesday: the full of Sunday is the newest; that of the Sunday before is held by the differentials of Thursday to Saturday.
  expect(simulation.days[37]).toMatchObject({ date: "2026-12-30", repositories: [{ full: 2, differential: 6, heldForDependents: 1, recoveryPoints: 7, longestChain: 2 }] });
  expect(problem(simulation, "held-for-dependents")).toMatchObject({ severity: "note", type: "full", times: 5 });
  expect(problem(simulation, "orphan")).toBeUndefined();
});

test("what is due outside its window waits for it, and what lasts longer than the window is overrun", () => {
  const noon = backup({ schedule: { kind: "cron", expression: "0 12 * * *", zone: "UTC" } });
  const waits = play({ backups: [noon], heavy: ["02:00-04:00"] });
  expect(problem(waits, "late")).toMatchObject({ severity: "warning", type: "full", worstSeconds: 14 * 3600, times: 29 });
  // The first, which waits for nothing, ends at 02:46; the second begins then.
  const slow = play({ heavy: ["02:00-04:00"], assumptions: { ...DEFAULT_ASSUMPTIONS, backupBytesPerSecond: 10e6 } });
  expect(problem(slow, "overrun")).toMatchObject({ severity: "warning", assumed: false, worstSeconds: 5600, times: 30 });
});

test("a blackout shows: nothing runs in it, what waited begins at its end, and a copy without a log loses all of it", () => {
  const simulation = play({ log: null, objectives: { rtoSeconds: DAY, rpoSeconds: DAY }, blackout: ["2026-11-28T00:00:00Z/2026-12-01T00:00:00Z"] });
  expect(simulation.days.slice(4, 9).map(({ date, runs }) => [date.slice(5), runs.full])).toEqual([
    ["11-27", 1],
    ["11-28", 0],
    ["11-29", 0],
    ["11-30", 0],
    ["12-01", 2],
  ]);
  expect(problem(simulation, "rpo")).toMatchObject({ severity: "breach", times: 1, worstSeconds: 4 * DAY - 2 * 3600 });
  expect(problem(simulation, "late")).toMatchObject({ worstSeconds: 22 * 3600 });
});

test("slots that pass while a backup runs are missed, one backup at a time", () => {
  const differential = backup({ type: "differential", schedule: { kind: "every", seconds: 21_600 } });
  const slow = play({
    days: 6,
    backups: [backup({ schedule: { kind: "cron", expression: "0 1 * * 3", zone: "UTC" } }), differential],
    assumptions: { ...DEFAULT_ASSUMPTIONS, backupBytesPerSecond: 1e6 },
  });
  // The full of the first day lasts 100,000 s, and so does that of Wednesday.
  expect(slow.runs.full).toBe(2);
  expect(problem(slow, "missed")?.times).toBe(slow.runs.missed);
  expect(slow.runs.missed).toBeGreaterThan(5);
});

test("a restore that takes too long is a warning where sizes are assumed, and a breach where they were told", () => {
  const objectives = { rtoSeconds: 900, rpoSeconds: 300 };
  expect(problem(play({ objectives }), "rto")).toMatchObject({ severity: "breach", assumed: false, worstSeconds: 1000 + Math.ceil((4e9 * (DAY + 1000)) / DAY / 50e6) });
  expect(problem(play({ objectives, defaulted: new Set(["databaseBytes"]) }), "rto")).toMatchObject({ severity: "warning", assumed: true });
  expect(problem(play({ backups: [backup({ recoveryTimeBudgetSeconds: 600 })] }), "budget")).toMatchObject({ severity: "breach", worstSeconds: 1000, objectiveSeconds: 600 });
});

test("a type whose every slot is in the hour of a stronger one never runs", () => {
  expect(shown(play({ backups: [backup(), backup({ type: "incremental" })] }))).toContain("breach never incremental");
});

test("growth shows in what is stored", () => {
  const stored = (simulation: Simulation): (number | undefined)[] => [simulation.days[0]?.repositories[0]?.backupBytes, simulation.days.at(-1)?.repositories[0]?.backupBytes];
  const [first = 0, last = 0] = stored(play({ days: 29, assumptions: { ...DEFAULT_ASSUMPTIONS, dailyGrowthBytes: 10e9 } }));
  const [, flat = 0] = stored(play({ days: 29 }));
  expect(first).toBeGreaterThan(66e9);
  expect(last).toBeGreaterThan(2 * flat);
});

test("more backups than anybody reads day by day are refused", () => {
  const often = backup({ type: "differential", schedule: { kind: "every", seconds: 60 } });
  const input = { backups: [backup(), often], days: 400 };
  expect(() => play(input)).toThrow("too many backups");
});
