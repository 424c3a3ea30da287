import { expect, test } from "vitest";
import type { BackupType } from "../../../src/domain/backup-id.ts";
import { cronProblem, dueWork, longestIntervalSeconds, nextSlot, previousSlot, slotsBetween } from "../../../src/domain/schedule.ts";
import type { DueInput, DueWork, Schedule } from "../../../src/domain/schedule.ts";

const cron = (expression: string, zone = "UTC"): Schedule => ({ kind: "cron", expression, zone });
const every = (seconds: number): Schedule => ({ kind: "every", seconds });
const at = (text: string): Date => new Date(`${text}Z`);
const iso = (date: Date | null): string | null => date?.toISOString().slice(0, 19) ?? null;

const SUNDAY_2 = cron("0 2 * * 0");
const DAILY_2 = cron("0 2 * * *");
const SIX_HOURLY = every(6 * 3600);

test("the slot after a slot is the next one, and the slot at a slot is that one", () => {
  expect(iso(nextSlot(SUNDAY_2, at("2026-11-22T02:00:00")))).toBe("2026-11-29T02:00:00");
  expect(iso(nextSlot(SUNDAY_2, at("2026-11-22T01:59:59.999")))).toBe("2026-11-22T02:00:00");
  expect(iso(previousSlot(SUNDAY_2, at("2026-11-22T02:00:00")))).toBe("2026-11-22T02:00:00");
  expect(iso(previousSlot(SUNDAY_2, at("2026-11-22T01:59:59.999")))).toBe("2026-11-15T02:00:00");
});

test("an interval that divides a day falls on the same times every day, from 00:00 UTC", () => {
  expect(slotsBetween(SIX_HOURLY, at("2026-11-21T00:00:00"), at("2026-11-22T00:00:00"), 10).map(iso)).toEqual([
    "2026-11-21T06:00:00",
    "2026-11-21T12:00:00",
    "2026-11-21T18:00:00",
    "2026-11-22T00:00:00",
  ]);
  expect(iso(previousSlot(every(5), at("2026-11-21T00:00:09.5")))).toBe("2026-11-21T00:00:05");
});

test("slots between two times exclude the first, include the last, and end at the limit", () => {
  expect(slotsBetween(DAILY_2, at("2026-11-20T02:00:00"), at("2026-11-22T02:00:00"), 10).map(iso)).toEqual(["2026-11-21T02:00:00", "2026-11-22T02:00:00"]);
  expect(slotsBetween(every(60), at("2026-11-20T00:00:00"), at("2026-11-22T00:00:00"), 3)).toHaveLength(3);
  expect(slotsBetween(DAILY_2, at("2026-11-22T02:00:00"), at("2026-11-20T02:00:00"), 10)).toEqual([]);
});

test("a cron expression is read in its zone, and a time that the clocks skip comes once, right after", () => {
  expect(iso(nextSlot(cron("0 2 * * *", "Europe/Berlin"), at("2026-11-21T12:00:00")))).toBe("2026-11-22T01:00:00");
  const berlin = cron("30 2 * * *", "Europe/Berlin");
  expect(slotsBetween(berlin, at("2026-03-28T12:00:00"), at("2026-03-30T12:00:00"), 10).map(iso)).toEqual(["2026-03-29T01:00:00", "2026-03-30T00:30:00"]);
  expect(slotsBetween(berlin, at("2026-10-24T12:00:00"), at("2026-10-26T12:00:00"), 10).map(iso)).toEqual(["2026-10-25T00:30:00", "2026-10-26T01:30:00"]);
});

test.each([
  ["0 2 * * 0", "UTC", null],
  ["0 6 * * 0#1", "UTC", null],
  ["@weekly", "UTC", null],
  ["0 0 29 2 *", "UTC", null],
  ["0 0 30 2 *", "UTC", "never comes: no date fits it"],
  ["0 0 2 * * 0", "UTC", "must be a cron expression of five fields"],
  ["2026-11-30T00:00:00", "UTC", "must be a cron expression of five fields"],
  ["@reboot", "UTC", "must be a cron expression of five fields"],
  ["0 25 * * *", "UTC", "must be a cron expression of five fields"],
  ["", "UTC", "must be a cron expression of five fields"],
  ["0 2 * * 0", "Mars/Phobos", "names a time zone that does not exist"],
  ["0 2 * * 0", "", "names a time zone that does not exist"],
])("cron %j in %j: %j", (expression, zone, problem) => {
  expect(cronProblem(expression, zone)).toBe(problem);
});

test.each([
  [every(900), 900],
  [DAILY_2, 86_400],
  [SUNDAY_2, 7 * 86_400],
  [cron("0 2 * * 1-5"), 3 * 86_400],
  [cron("*/5 9-17 * * 1-5"), 63 * 3600 + 300],
  [cron("0 2 31 * *"), 61 * 86_400],
])("the longest interval of %j is %d seconds", (schedule, seconds) => {
  expect(longestIntervalSeconds(schedule, at("2026-01-05T00:00:00"))).toBe(seconds);
});

const SHIPPED: readonly (readonly [BackupType, Schedule])[] = [
  ["full", SUNDAY_2],
  ["incremental", DAILY_2],
  ["differential", SIX_HOURLY],
];

function inputs(handled: string | null, types = SHIPPED): DueInput[] {
  return types.map(([type, schedule]) => ({ type, schedule, lastHandled: handled === null ? null : at(handled) }));
}

function lines({ decisions }: DueWork): string[] {
  return decisions.map(({ type, slot, decision }) => `${iso(slot)} ${type} ${decision}`);
}

test("nothing is due before the next slot, and a handled slot is not due again", () => {
  expect(dueWork(inputs("2026-11-22T02:00:00"), at("2026-11-22T05:59:59"))).toEqual({ decisions: [], older: [] });
  expect(lines(dueWork(inputs("2026-11-22T02:00:00"), at("2026-11-22T06:00:00")))).toEqual(["2026-11-22T06:00:00 differential run"]);
});

test("on Sunday the full runs and the incremental of the same hour is superseded", () => {
  const due = dueWork(inputs("2026-11-22T00:00:00"), at("2026-11-22T02:00:00"));
  expect(lines(due)).toEqual(["2026-11-22T02:00:00 full run", "2026-11-22T02:00:00 incremental superseded"]);
  expect(due.decisions[1]?.reason).toBe("the full backup of 2026-11-22T02:00:00Z falls due within the same hour");
});

test("the strongest of an hour runs whichever comes first, and whenever one looks", () => {
  const types = [["incremental", cron("10 2 * * *")] as const, ["full", cron("40 2 * * *")] as const];
  expect(lines(dueWork(inputs("2026-11-21T12:00:00", types), at("2026-11-22T02:10:00")))).toEqual(["2026-11-22T02:10:00 incremental superseded"]);
  expect(lines(dueWork(inputs("2026-11-22T02:10:00", types), at("2026-11-22T02:40:00")))).toEqual(["2026-11-22T02:40:00 full run"]);
  const later = [["incremental", cron("40 2 * * *")] as const, ["full", cron("10 2 * * *")] as const];
  expect(lines(dueWork(inputs("2026-11-22T02:10:00", later), at("2026-11-22T02:40:00")))).toEqual(["2026-11-22T02:40:00 incremental superseded"]);
});

test("types that fall due in different hours all run", () => {
  const types = [["incremental", cron("59 1 * * *")] as const, ["full", cron("0 2 * * *")] as const];
  expect(lines(dueWork(inputs("2026-11-21T12:00:00", types), at("2026-11-22T02:00:00")))).toEqual(["2026-11-22T01:59:00 incremental run", "2026-11-22T02:00:00 full run"]);
});

test("a differential supersedes an incremental of its hour", () => {
  const types = [["incremental", every(3600)] as const, ["differential", SIX_HOURLY] as const];
  expect(lines(dueWork(inputs("2026-11-21T05:00:00", types), at("2026-11-21T06:00:00")))).toEqual([
    "2026-11-21T06:00:00 differential run",
    "2026-11-21T06:00:00 incremental superseded",
  ]);
});

test("a stronger type with a slot every hour does not silence a weaker one that is due by itself", () => {
  const types = [["incremental", every(5)] as const, ["full", every(20)] as const];
  expect(lines(dueWork(inputs("2026-11-21T06:00:00", types), at("2026-11-21T06:00:05")))).toEqual(["2026-11-21T06:00:05 incremental run"]);
  expect(lines(dueWork(inputs("2026-11-21T06:00:15", types), at("2026-11-21T06:00:20")))).toEqual(["2026-11-21T06:00:20 full run", "2026-11-21T06:00:20 incremental superseded"]);
});

test("after a time away only the newest slot of a type runs, and the ones before it are missed with a reason", () => {
  const due = dueWork([{ type: "incremental", schedule: DAILY_2, lastHandled: at("2026-11-18T02:00:00") }], at("2026-11-21T12:00:00"));
  expect(lines(due)).toEqual(["2026-11-19T02:00:00 incremental missed", "2026-11-20T02:00:00 incremental missed", "2026-11-21T02:00:00 incremental run"]);
  expect(due.decisions[0]?.reason).toBe("nothing ran at its time, and the slot of 2026-11-21T02:00:00Z serves it");
});

test("a new source gets its strongest backup at once, and the others wait for their next slot", () => {
  const due = dueWork(inputs(null), at("2026-11-25T13:00:00"));
  expect(lines(due)).toEqual(["2026-11-22T02:00:00 full run", "2026-11-25T02:00:00 incremental superseded", "2026-11-25T12:00:00 differential superseded"]);
  expect(due.decisions[1]?.reason).toBe("the first incremental backup follows the full backup that runs now");
});

test("of many missed slots a thousand are listed and the rest is one interval with its count", () => {
  const due = dueWork([{ type: "full", schedule: every(60), lastHandled: at("2026-11-20T00:00:00") }], at("2026-11-21T00:00:30"));
  expect(due.decisions).toHaveLength(1000);
  expect(due.decisions.filter(({ decision }) => decision === "run").map(({ slot }) => iso(slot))).toEqual(["2026-11-21T00:00:00"]);
  expect(due.older).toEqual([
    {
      type: "full",
      from: at("2026-11-20T00:01:00"),
      until: at("2026-11-20T07:20:00"),
      count: 440,
      exact: true,
      reason: "nothing ran at its time, and the slot of 2026-11-21T00:00:00Z serves it",
    },
  ]);
});

test("years of missed cron slots are counted up to a limit, and the count says so", () => {
  const [older] = dueWork([{ type: "full", schedule: cron("* * * * *"), lastHandled: at("2026-10-01T00:00:00") }], at("2026-11-21T00:00:00")).older;
  expect(older).toMatchObject({ count: 10_000, exact: false, from: at("2026-10-01T00:01:00") });
});

test("a clock that went back makes nothing due", () => {
  expect(lines(dueWork(inputs("2026-11-22T02:00:00"), at("2026-11-20T12:00:00")))).toEqual([]);
});
