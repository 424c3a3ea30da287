import { expect, test } from "vitest";
import type { BackupType } from "../../../src/domain/backup-id.ts";
import { isoWeek, planExpiry } from "../../../src/domain/retention.ts";
import type { ExpiryDecision, RetainedBackup, RetentionRule } from "../../../src/domain/retention.ts";

const DAY = 86_400;
const NOW = new Date("2026-11-22T12:00:00Z");

function rule(wanted: Partial<RetentionRule>): RetentionRule {
  return { keepForSeconds: null, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null, ...wanted };
}

function backup(id: string, at: string, more: Partial<RetainedBackup> = {}): RetainedBackup {
  return { id, type: "full", at: new Date(at.length === 10 ? `${at}T02:00:00Z` : at), ancestors: [], state: "complete", ...more };
}

function plan(backups: readonly RetainedBackup[], rules: Partial<Record<BackupType, Partial<RetentionRule>>>, now = NOW): Map<string, ExpiryDecision> {
  const byType = new Map((["full", "differential", "incremental"] as const).flatMap((type) => (rules[type] === undefined ? [] : [[type, rule(rules[type])] as const])));
  return new Map(planExpiry({ backups, rules: byType, now }).map((decision) => [decision.id, decision]));
}

function kept(decisions: Map<string, ExpiryDecision>): string[] {
  return [...decisions.values()].filter((decision) => decision.keep).map((decision) => decision.id);
}

test("a backup younger than its age rule is kept and says when it goes", () => {
  const decisions = plan(
    [backup("old", "2026-08-30"), backup("young", "2026-08-31"), backup("new", "2026-11-22")],
    { full: { keepForSeconds: 12 * 7 * DAY } },
    new Date("2026-11-22T02:00:00Z"),
  );
  expect(decisions.get("old")).toEqual({
    id: "old",
    keep: false,
    reasons: ["older than 12w, and no other rule keeps it"],
    heldBy: [],
    recoveryPoint: false,
    expiresAt: null,
    lockedUntil: null,
  });
  expect(decisions.get("young")).toEqual({
    id: "young",
    keep: true,
    reasons: ["younger than 12w"],
    heldBy: [],
    recoveryPoint: true,
    expiresAt: new Date("2026-11-23T02:00:00Z"),
    lockedUntil: null,
  });
  expect(decisions.get("new")?.expiresAt).toBeNull();
});

test("a backup expires at the moment its age is reached, not after", () => {
  const backups = [backup("a", "2026-11-01"), backup("b", "2026-11-20")];
  expect(kept(plan(backups, { full: { keepForSeconds: DAY } }, new Date("2026-11-02T01:59:59.999Z")))).toEqual(["a", "b"]);
  expect(kept(plan(backups, { full: { keepForSeconds: DAY } }, new Date("2026-11-02T02:00:00Z")))).toEqual(["b"]);
});

test("what a kept backup was made from is held for it, goes with it, and is no recovery point of its own", () => {
  const chain = [
    backup("full", "2026-08-01"),
    backup("incr1", "2026-08-02", { type: "incremental", ancestors: ["full"] }),
    backup("incr2", "2026-11-20", { type: "incremental", ancestors: ["full", "incr1"] }),
    backup("newer", "2026-11-22"),
  ];
  const decisions = plan(chain, { full: { keepForSeconds: DAY }, incremental: { keepForSeconds: 30 * DAY } });
  expect(kept(decisions)).toEqual(["full", "incr1", "incr2", "newer"]);
  const until = new Date("2026-12-20T02:00:00Z");
  expect(decisions.get("full")).toEqual({
    id: "full",
    keep: true,
    reasons: ["held for dependents"],
    heldBy: ["incr1", "incr2"],
    recoveryPoint: false,
    expiresAt: until,
    lockedUntil: null,
  });
  expect(decisions.get("incr1")).toMatchObject({ heldBy: ["incr2"], recoveryPoint: false, expiresAt: until, lockedUntil: null });
  expect(decisions.get("incr2")).toMatchObject({ heldBy: [], recoveryPoint: true, expiresAt: until });
});

test("a backup that a later one was made from, and of which it needs nothing any more, is not held for it", () => {
  const chain = [
    backup("full", "2026-08-01"),
    backup("incr1", "2026-08-02", { type: "incremental", ancestors: ["full"] }),
    backup("incr2", "2026-11-20", { type: "incremental", ancestors: ["full"] }),
  ];
  expect(kept(plan(chain, { full: { keepForSeconds: DAY }, incremental: { keepForSeconds: 30 * DAY } }))).toEqual(["full", "incr2"]);
});

test("ancestors are held through the chain although a backup names only its parent", () => {
  const chain = [
    backup("full", "2026-08-01"),
    backup("incr1", "2026-08-02", { type: "incremental", ancestors: ["full"] }),
    backup("incr2", "2026-11-20", { type: "incremental", ancestors: ["incr1"] }),
    backup("newer", "2026-11-22"),
  ];
  expect(plan(chain, { full: {}, incremental: { keepForSeconds: 30 * DAY } }).get("full")?.heldBy).toEqual(["incr1", "incr2"]);
});

test("a full kept by its own rule also says who depends on it", () => {
  const decisions = plan([backup("full", "2026-11-15"), backup("incr", "2026-11-20", { type: "incremental", ancestors: ["full"] })], {
    full: { keepForSeconds: 84 * DAY },
    incremental: { keepForSeconds: DAY * 30 },
  });
  expect(decisions.get("full")).toMatchObject({ recoveryPoint: true, heldBy: ["incr"], reasons: ["younger than 12w", "the newest full that can be restored"] });
});

test("the newest full that can be restored stays, however old", () => {
  const decisions = plan([backup("a", "2020-01-01"), backup("b", "2020-01-08")], { full: { keepForSeconds: DAY } });
  expect(kept(decisions)).toEqual(["b"]);
  expect(decisions.get("b")).toMatchObject({ reasons: ["the newest full that can be restored"], expiresAt: null });
});

test("a newer full with page corruption does not let the last clean one go", () => {
  const decisions = plan([backup("clean", "2020-01-01"), backup("hurt", "2026-11-22", { state: "complete_with_corruption" })], { full: { keepForSeconds: DAY } });
  expect(kept(decisions)).toEqual(["clean", "hurt"]);
});

test("the newest full stays even where none is clean: something may be saved from it", () => {
  const hurt = { state: "complete_with_corruption" } as const;
  const decisions = plan([backup("a", "2020-01-01", hurt), backup("b", "2020-01-08", hurt)], { full: { keepForSeconds: DAY } });
  expect(kept(decisions)).toEqual(["b"]);
  expect(decisions.get("b")?.reasons).toEqual(["the newest full, and there is no clean one"]);
  expect(decisions.get("a")?.reasons).toEqual(["older than 1d, and no other rule keeps it: it has page corruption, so it does not count"]);
});

test("counts look at clean backups of their own type only", () => {
  const incr = { type: "incremental", ancestors: ["full"] } as const;
  const backups = [
    backup("full", "2026-11-15"),
    backup("a", "2026-11-16", incr),
    backup("b", "2026-11-17", incr),
    backup("hurt", "2026-11-18", { ...incr, state: "complete_with_corruption" }),
    backup("c", "2026-11-19", incr),
  ];
  expect(kept(plan(backups, { full: {}, incremental: { keepLast: 2 } }))).toEqual(["full", "b", "c"]);
  expect(kept(plan(backups, { full: {}, incremental: { daily: 2 } }))).toEqual(["full", "b", "c"]);
});

test("a corrupt backup is kept for its age", () => {
  const decisions = plan([backup("full", "2026-11-22"), backup("hurt", "2026-11-20", { state: "complete_with_corruption" })], {
    full: { keepForSeconds: 7 * DAY, keepLast: 5, daily: 5 },
  });
  expect(decisions.get("hurt")).toMatchObject({ keep: true, reasons: ["younger than 7d"] });
});

test("of each of the newest days, weeks, months and years with a backup the last is kept, in UTC", () => {
  const backups = [
    "2024-12-31T23:59:59Z",
    "2025-01-01T00:00:00Z",
    "2025-12-28T02:00:00Z",
    "2026-10-31T02:00:00Z",
    "2026-11-20T01:00:00Z",
    "2026-11-20T23:00:00Z",
    "2026-11-22T02:00:00Z",
  ].map((at) => backup(at, at));
  expect(kept(plan(backups, { full: { daily: 2 } }))).toEqual(["2026-11-20T23:00:00Z", "2026-11-22T02:00:00Z"]);
  expect(kept(plan(backups, { full: { weekly: 3 } }))).toEqual(["2025-12-28T02:00:00Z", "2026-10-31T02:00:00Z", "2026-11-22T02:00:00Z"]);
  expect(kept(plan(backups, { full: { monthly: 2 } }))).toEqual(["2026-10-31T02:00:00Z", "2026-11-22T02:00:00Z"]);
  const yearly = plan(backups, { full: { yearly: 3 } });
  expect(kept(yearly)).toEqual(["2024-12-31T23:59:59Z", "2025-12-28T02:00:00Z", "2026-11-22T02:00:00Z"]);
  expect(yearly.get("2025-12-28T02:00:00Z")).toMatchObject({ reasons: ["the last of 2025"], expiresAt: null });
});

test.each([
  ["2026-11-22", "2026-W47"],
  ["2026-11-23", "2026-W48"],
  ["2027-01-01", "2026-W53"],
  ["2027-01-04", "2027-W01"],
  ["2024-12-30", "2025-W01"],
  ["2023-01-01", "2022-W52"],
  ["1969-12-31", "1970-W01"],
])("%s is in ISO week %s", (day, week) => {
  expect(isoWeek(new Date(`${day}T23:00:00Z`))).toBe(week);
});

test("a pin and a legal hold keep a backup and what it needs until a person lets go", () => {
  const backups = [
    backup("full", "2020-01-01"),
    backup("pinned", "2020-01-02", { type: "incremental", ancestors: ["full"], pinned: true }),
    backup("held", "2020-01-03", { held: true }),
    backup("new", "2026-11-22"),
  ];
  const decisions = plan(backups, { full: { keepForSeconds: DAY }, incremental: { keepForSeconds: DAY } });
  expect(kept(decisions)).toEqual(["full", "pinned", "held", "new"]);
  expect(decisions.get("pinned")).toMatchObject({ reasons: ["pinned"], expiresAt: null });
  expect(decisions.get("held")).toMatchObject({ reasons: ["legal hold"], expiresAt: null });
  expect(decisions.get("full")).toMatchObject({ heldBy: ["pinned"], recoveryPoint: false, expiresAt: null });
});

test("a type that the policy no longer has is kept, since nobody has said that it may go", () => {
  const decisions = plan([backup("full", "2026-11-15"), backup("diff", "2020-01-01", { type: "differential", ancestors: ["full"] })], { full: { keepForSeconds: DAY } });
  expect(decisions.get("diff")).toMatchObject({ keep: true, reasons: ["no retention rule for differential backups"], expiresAt: null });
});

test("an ancestor that is not in the list is ignored, and so is a backup that names itself", () => {
  const decisions = plan([backup("incr", "2026-11-20", { type: "incremental", ancestors: ["gone", "incr"] })], { incremental: { keepForSeconds: 30 * DAY } });
  expect(decisions.get("incr")).toMatchObject({ keep: true, heldBy: [], recoveryPoint: true });
});

test("decisions come in the order of the backups", () => {
  expect(planExpiry({ backups: [backup("b", "2026-11-20"), backup("a", "2026-11-21")], rules: new Map(), now: NOW }).map(({ id }) => id)).toEqual(["b", "a"]);
});
