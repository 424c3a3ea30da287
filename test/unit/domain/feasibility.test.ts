import { expect, test } from "vitest";
import { findInfeasible } from "../../../src/domain/feasibility.ts";
import type { FeasibilityBackup, FeasibilityInput, FeasibilityLog } from "../../../src/domain/feasibility.ts";
import type { RetentionRule } from "../../../src/domain/retention.ts";
import type { Schedule } from "../../../src/domain/schedule.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const cron = (expression: string): Schedule => ({ kind: "cron", expression, zone: "UTC" });
const keepFor = (seconds: number): RetentionRule => ({ keepForSeconds: seconds, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null });

const FULL: FeasibilityBackup = { type: "full", schedule: cron("0 2 * * 0"), retention: keepFor(84 * DAY), repositories: ["onsite", "cloud"], recoveryTimeBudgetSeconds: null };
const INCREMENTAL: FeasibilityBackup = { ...FULL, type: "incremental", schedule: cron("0 2 * * *"), retention: keepFor(30 * DAY) };
const DIFFERENTIAL: FeasibilityBackup = { ...FULL, type: "differential", schedule: { kind: "every", seconds: 6 * HOUR }, retention: keepFor(7 * DAY), repositories: ["onsite"] };
const LOG: FeasibilityLog = { schedule: { kind: "stream" }, retentionSeconds: DAY, repositories: ["onsite", "cloud"], recoveryTimeBudgetSeconds: null };
const OBJECTIVES = { rtoSeconds: 4 * HOUR, rpoSeconds: 5 * MINUTE };

function findings(change: Partial<FeasibilityInput>): string[] {
  return findInfeasible({ objectives: OBJECTIVES, backups: [FULL, INCREMENTAL, DIFFERENTIAL], log: LOG, ...change }).map(
    ({ severity, path, message }) => `${severity} ${path.join(".")}: ${message}`,
  );
}

test("the shipped schedule with a streamed log to every copy holds a recovery point of five minutes", () => {
  expect(findings({})).toEqual([]);
});

test("a log backup every 15 minutes cannot hold a recovery point of 5, and streaming is proposed", () => {
  const [finding] = findInfeasible({ objectives: OBJECTIVES, backups: [FULL], log: { ...LOG, schedule: { kind: "every", seconds: 15 * MINUTE } } });
  expect(finding).toEqual({
    severity: "infeasible",
    path: ["backups", "log", "schedule"],
    message: "a log backup every 15m loses up to 15m, and the recovery point objective is 5m",
    hint: "stream the log: log: { schedule: stream, … }",
  });
});

test("a log backup as often as the recovery point objective leaves no time to store it", () => {
  const log: FeasibilityLog = { ...LOG, schedule: { kind: "every", seconds: 5 * MINUTE } };
  expect(findings({ log })).toEqual(["warning backups.log.schedule: a log backup every 5m leaves no time to store it within the recovery point objective of 5m"]);
  expect(findings({ log: { ...log, schedule: { kind: "every", seconds: 4 * MINUTE } } })).toEqual([]);
});

test("a log that pauses at night is measured by its longest interval", () => {
  expect(findings({ log: { ...LOG, schedule: cron("* 8-17 * * *") } })).toEqual([
    "infeasible backups.log.schedule: a log backup every 841m loses up to 841m, and the recovery point objective is 5m",
  ]);
});

test("without a log the recovery point is the interval of the most frequent backup", () => {
  expect(findings({ log: null })).toEqual(["infeasible backups: without log backups up to 6h of changes are lost, and the recovery point objective is 5m"]);
  expect(findings({ log: null, objectives: { ...OBJECTIVES, rpoSeconds: DAY } })).toEqual([
    "warning backups: without log backups the source can only be brought back to the end of a backup, not to a time between (up to 6h apart)",
  ]);
});

test("a copy without a log has the recovery point of its own backups", () => {
  expect(findings({ log: { ...LOG, repositories: ["onsite"] } })).toEqual([
    "warning backups.log.repositories: the copy in 'cloud' has no log: by itself it loses up to 1d, and the recovery point objective is 5m",
  ]);
});

test("a log in a repository without backups is of no use there", () => {
  expect(findings({ log: { ...LOG, repositories: ["onsite", "cloud", "fast"] } })).toEqual(["warning backups.log.repositories: 'fast' holds the log but no backup to start from"]);
  expect(findings({ log: { ...LOG, repositories: ["fast"] } })).toEqual([
    "infeasible backups.log.repositories: no repository has both backups and the log, so no copy can bring back a time between backups",
  ]);
});

test("a backup that outlives the fulls keeps them as long as itself, and says so", () => {
  expect(findings({ backups: [FULL, { ...DIFFERENTIAL, retention: keepFor(26 * 7 * DAY) }] })).toEqual([
    "warning backups.differential.retention: differential backups are kept up to 26w, full backups up to 12w: the full each was made from stays as long, held for it",
  ]);
});

test("counts and periods are part of how long a backup is kept", () => {
  const yearly = { ...keepFor(30 * DAY), yearly: 7 };
  expect(findings({ backups: [FULL, { ...INCREMENTAL, retention: yearly }] })).toHaveLength(1);
  expect(
    findings({
      backups: [
        { ...FULL, retention: { ...keepFor(84 * DAY), yearly: 7 } },
        { ...INCREMENTAL, retention: yearly },
      ],
    }),
  ).toEqual([]);
  expect(
    findings({
      backups: [
        { ...FULL, retention: { ...keepFor(DAY), keepLast: 12 } },
        { ...INCREMENTAL, retention: keepFor(85 * DAY) },
      ],
    }),
  ).toHaveLength(1);
});

test("an incremental in a repository without fulls can never be made there", () => {
  expect(findings({ backups: [{ ...FULL, repositories: ["onsite"] }, INCREMENTAL] })).toContain(
    "infeasible backups.incremental.repositories: incremental backups go to 'cloud', where no full backup goes: a copy must restore by itself",
  );
});

test("a type that always falls due with a stronger one never runs", () => {
  expect(
    findings({
      backups: [
        { ...FULL, schedule: cron("0 2 * * *") },
        { ...INCREMENTAL, schedule: cron("30 2 * * *") },
      ],
    }),
  ).toEqual(["infeasible backups.incremental.schedule: incremental backups never run: each falls due within the same hour as a stronger backup"]);
});

test("intervals of seconds, as tests use them, let every type run", () => {
  const seconds = (count: number): Schedule => ({ kind: "every", seconds: count });
  expect(
    findings({
      backups: [
        { ...FULL, schedule: seconds(20) },
        { ...INCREMENTAL, schedule: seconds(5) },
      ],
    }),
  ).toEqual([]);
});

test("a budget above the recovery time objective is named with its line", () => {
  const log = { ...LOG, recoveryTimeBudgetSeconds: 5 * HOUR };
  expect(
    findings({
      backups: [
        { ...FULL, recoveryTimeBudgetSeconds: 4 * HOUR },
        { ...INCREMENTAL, recoveryTimeBudgetSeconds: 6 * HOUR },
      ],
      log,
    }),
  ).toEqual([
    "warning backups.incremental.recoveryTimeBudget: recovery from an incremental backup may take its budget of 6h, and the recovery time objective is 4h",
    "warning backups.log.recoveryTimeBudget: recovery from the log may take its budget of 5h, and the recovery time objective is 4h",
  ]);
});

test("a log kept longer than any backup to start from ends where the backups do", () => {
  expect(findings({ log: { ...LOG, retentionSeconds: 26 * 7 * DAY } })).toEqual([
    "warning backups.log.retention: the log is kept 26w, but no backup to start from is kept longer than 12w",
  ]);
});

test("every finding has a hint", () => {
  const all = findInfeasible({
    objectives: { rtoSeconds: 1, rpoSeconds: 1 },
    backups: [{ ...FULL, recoveryTimeBudgetSeconds: 5 }],
    log: { ...LOG, schedule: cron("* 8-17 * * *"), repositories: ["fast"], retentionSeconds: 400 * DAY },
  });
  expect(all).toHaveLength(4);
  for (const finding of all) expect(finding.hint).not.toBe("");
});
