import { expect, test } from "vitest";
import type { BackupType } from "../../../src/domain/backup-id.ts";
import type { BackupRule, SourceConfig } from "../../../src/policy/types.ts";
import { findDue } from "../../../src/scheduler/find-due.ts";
import type { ScheduleHistory } from "../../../src/scheduler/find-due.ts";
import { afterTaking, inTurn, taskOf } from "../../../src/scheduler/tasks.ts";
import type { Task, Waited } from "../../../src/scheduler/tasks.ts";

const DAILY = { kind: "cron", expression: "0 2 * * *", zone: "UTC" } as const;
const EVERY_6H = { kind: "every", seconds: 6 * 3600 } as const;
const ANY = {
  retention: { keepForSeconds: 1, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null },
  repositories: ["onsite"],
  verify: null,
  recoveryTimeBudgetSeconds: null,
};

const rule = (type: BackupType, schedule: BackupRule["schedule"]): [BackupType, BackupRule] => [type, { type, schedule, ...ANY }];

function source(rules: readonly [BackupType, BackupRule][], heavy: readonly string[] = [], blackout: SourceConfig["policy"]["windows"]["blackout"] = []): SourceConfig {
  const policy: SourceConfig["policy"] = {
    name: "p",
    appliesTo: null,
    changes: { approval: "none", reason: null, category: "normal" },
    objectives: { rtoSeconds: null, rpoSeconds: null },
    backups: new Map(rules),
    log: null,
    jitterSeconds: 0,
    hooks: { beforeBackup: [], afterBackup: [], onFailure: [], timeoutSeconds: 60 },
    verify: { schedule: DAILY, tier: "decoded", walSeconds: 900, scrub: null },
    expire: { schedule: DAILY },
    drills: null,
    windows: { heavy, blackout },
  };
  return {
    name: "db",
    kind: "postgres",
    connection: { kind: "env", name: "X" },
    dataDirectory: null,
    policy,
    tier: "standard",
    dataClass: "user",
    heartbeat: false,
    bandwidth: [],
    labels: {},
    objectives: { rtoSeconds: 1, rpoSeconds: 1 },
  };
}

/** Every slot up to `handled` was dealt with. */
function after(handled: string | null): ScheduleHistory {
  const date = handled === null ? null : new Date(handled);
  return { lastHandled: () => date, lastFailure: () => null, firstBackupAt: date };
}

const runsAt = (config: SourceConfig, history: ScheduleHistory, now: string): string[] =>
  findDue(config, history, new Date(now)).run.map(({ operation, type, slot }) => `${type ?? operation} ${slot.slice(0, 16)}`);

test("before the first backup nothing but a backup is due, and nothing was missed", () => {
  const due = findDue(source([rule("full", DAILY)]), after(null), new Date("2026-11-21T12:00:00Z"));
  expect(due.run.map(({ operation }) => operation)).toEqual(["backup"]);
  expect(due.passedOver).toEqual([]);
});

test("a slot that was handled is not due again, and the next is due at its very moment", () => {
  const config = source([rule("full", DAILY)]);
  expect(runsAt(config, after("2026-11-21T02:00:00Z"), "2026-11-22T01:59:59Z")).toEqual([]);
  expect(runsAt(config, after("2026-11-21T02:00:00Z"), "2026-11-22T02:00:00Z")).toEqual(["full 2026-11-22T02:00", "expire 2026-11-22T02:00", "verify 2026-11-22T02:00"]);
});

test("after a pause the newest slot runs once, and those before it are on record as missed", () => {
  const { run, passedOver } = findDue(source([rule("full", DAILY)]), after("2026-11-18T02:00:00Z"), new Date("2026-11-21T12:00:00Z"));
  expect(run.filter(({ operation }) => operation === "backup").map(({ slot }) => slot)).toEqual(["2026-11-21T02:00:00.000Z"]);
  const missed = passedOver.filter(({ operation, outcome }) => operation === "backup" && outcome === "missed").map(({ slot, until, slots }) => [slot, until, slots]);
  expect(missed).toEqual([["2026-11-19T02:00:00.000Z", "2026-11-20T02:00:00.000Z", 2]]);
});

test("outside of the windows heavy backups stay due, and others run", () => {
  const config = source([rule("full", { kind: "cron", expression: "0 2 * * 0", zone: "UTC" }), rule("incremental", DAILY), rule("differential", EVERY_6H)], ["02:00-04:00"]);
  expect(runsAt(config, after("2026-11-20T02:30:00Z"), "2026-11-21T12:00:00Z").filter((text) => !/expire|verify/.test(text))).toEqual(["differential 2026-11-21T12:00"]);
  expect(runsAt(config, after("2026-11-20T02:30:00Z"), "2026-11-21T03:00:00Z")).toContain("incremental 2026-11-21T02:00");
});

test("a source without any backup does not wait for its window", () => {
  expect(runsAt(source([rule("full", DAILY)], ["02:00-04:00"]), after(null), "2026-11-21T12:00:00Z")).toEqual(["full 2026-11-21T02:00"]);
});

const task = (operation: Task["operation"], slot: string): Task => ({ source: "db", operation, type: null, slot, attempt: 1, schedule: null, late: null, command: null });

test("the log goes first, a drill last, and of the same kind what has waited longest", () => {
  const tasks = [task("drill", "1"), task("verify", "1"), task("backup", "2"), task("log", "3"), task("backup", "1"), task("expire", "1")];
  expect(inTurn(tasks, new Map()).map(({ operation, slot }) => `${operation} ${slot}`)).toEqual(["log 3", "backup 1", "backup 2", "expire 1", "verify 1", "drill 1"]);
});

test("a schedule that asks for more than there is time for runs all of it all the same, and mostly what is most urgent", () => {
  const due = [task("backup", "1"), task("expire", "1"), task("verify", "1"), task("drill", "1")];
  const taken: string[] = [];
  let waited: Waited = new Map();
  for (let i = 0; i < 18; i++) {
    const [next] = inTurn(due, waited);
    if (next === undefined) throw new Error("something is due");
    taken.push(next.operation);
    waited = afterTaking(next, due, waited);
  }
  expect(taken.slice(0, 6)).toEqual(["backup", "backup", "backup", "expire", "verify", "drill"]);
  for (const operation of ["backup", "expire", "verify", "drill"]) expect(taken.filter((each) => each === operation).length, operation).toBeGreaterThanOrEqual(3);
  // The log is not waited for, and waits for nobody.
  expect(afterTaking(task("log", "1"), [...due, task("log", "1")], new Map([["drill", 1]])).get("drill")).toBe(2);
  expect(inTurn([...due, task("log", "9")], new Map([["drill", 99]]))[0]?.operation).toBe("log");
});

test("no backup begins in a blackout, and what fell due in it runs once when it is over", () => {
  const blackout = [{ window: "2026-11-20T00:00:00Z/2026-11-22T00:00:00Z", reason: "peak" }];
  const config = source([rule("full", DAILY), rule("differential", EVERY_6H)], [], blackout);
  const history = after("2026-11-19T18:00:00Z");
  expect(runsAt(config, history, "2026-11-21T23:59:59Z").filter((run) => !run.startsWith("verify") && !run.startsWith("expire"))).toEqual([]);
  expect(runsAt(config, history, "2026-11-22T00:00:00Z")).toEqual(expect.arrayContaining(["full 2026-11-21T02:00", "differential 2026-11-22T00:00"]));
});

test("a command goes before what is due of its kind, and after what is more urgent", () => {
  const command = {
    id: "c1",
    kind: "verify",
    source: "db",
    args: { tier: "pages" },
    idempotencyKey: "k",
    requestedBy: "ops",
    requestedAt: "2026-11-21T12:00:00.000Z",
    state: "queued",
    reason: null,
    endedAt: null,
  } as const;
  const asked = taskOf(command);
  expect(asked).toEqual({
    source: "db",
    operation: "verify",
    type: null,
    slot: null,
    attempt: 1,
    schedule: null,
    late: null,
    command: { id: "c1", args: { tier: "pages" }, requestedBy: "ops" },
  });
  expect(taskOf({ ...command, kind: "backup", args: { type: "incremental" } }).type).toBe("incremental");
  expect(inTurn([task("verify", "1"), asked, task("backup", "1")], new Map()).map(({ operation, slot }) => `${operation} ${slot}`)).toEqual([
    "backup 1",
    "verify null",
    "verify 1",
  ]);
});
