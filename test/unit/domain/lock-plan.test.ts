import { expect, test } from "vitest";
import { planLocks } from "../../../src/domain/lock-plan.ts";
import type { LockedBackup, LockExtension } from "../../../src/domain/lock-plan.ts";
import { planExpiry } from "../../../src/domain/retention.ts";
import type { ExpiryDecision, RetainedBackup, RetentionRule } from "../../../src/domain/retention.ts";

const DAY = 86_400;
const NOW = new Date("2026-11-22T12:00:00Z");
const day = (text: string): Date => new Date(`${text}T12:00:00Z`);
const rule = (keepForSeconds: number): RetentionRule => ({ keepForSeconds, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null });
const RULES = new Map([
  ["full", rule(28 * DAY)],
  ["incremental", rule(14 * DAY)],
] as const);

type Given = LockedBackup & RetainedBackup & { readonly lockedUntil: Date | null };

function backup(id: string, at: string, lockedUntil: string | null, more: Partial<RetainedBackup> = {}): Given {
  return { id, type: "full", ancestors: [], state: "complete", ...more, at: day(at), lockedUntil: lockedUntil === null ? null : day(lockedUntil) };
}

function decide(backups: readonly Given[], now = NOW): Map<string, ExpiryDecision> {
  return new Map(planExpiry({ backups, rules: RULES, now }).map((decision) => [decision.id, decision]));
}

function extensions(backups: readonly Given[], now = NOW): LockExtension[] {
  return planLocks({ backups, decisions: [...decide(backups, now).values()], marginSeconds: 2 * DAY, now });
}

test("what nobody wants and its store does not let go is no recovery point, says until when, and is not planned for deletion before", () => {
  const backups = [backup("old", "2026-10-01", "2026-11-25"), backup("new", "2026-11-21", "2026-12-21")];
  expect(decide(backups).get("old")).toEqual({
    id: "old",
    keep: true,
    reasons: ["locked until 2026-11-25T12:00:00.000Z", "older than 4w, and no other rule keeps it"],
    heldBy: [],
    recoveryPoint: false,
    expiresAt: day("2026-11-25"),
    lockedUntil: day("2026-11-25"),
  });
  expect(decide(backups, day("2026-11-25")).get("old")).toMatchObject({ keep: false, lockedUntil: null });
  expect(extensions(backups)).toEqual([]);
});

test("what a locked backup was made from stays with it, and is locked as long", () => {
  const backups = [
    backup("full", "2026-10-01", "2026-11-23"),
    backup("incr", "2026-10-02", "2026-11-25", { type: "incremental", ancestors: ["full"] }),
    backup("new", "2026-11-21", "2026-12-21"),
  ];
  const decisions = decide(backups);
  expect(decisions.get("incr")).toMatchObject({ keep: true, recoveryPoint: false, lockedUntil: day("2026-11-25") });
  expect(decisions.get("full")).toMatchObject({ keep: true, heldBy: ["incr"], recoveryPoint: false, expiresAt: day("2026-11-25"), lockedUntil: null });
  expect(extensions(backups)).toEqual([{ id: "full", from: day("2026-11-23"), until: day("2026-11-25"), reason: "held for dependents" }]);
});

test("a lock is made longer for a child that is kept longer, with a margin, and then not again", () => {
  const full = backup("full", "2026-10-26", "2026-11-25");
  const others = [backup("incr", "2026-11-20", "2026-12-06", { type: "incremental", ancestors: ["full"] }), backup("new", "2026-11-21", "2026-12-21")];
  expect(extensions([full, ...others])).toEqual([{ id: "full", from: day("2026-11-25"), until: day("2026-12-06"), reason: "younger than 4w" }]);
  expect(extensions([{ ...full, lockedUntil: day("2026-12-06") }, ...others])).toEqual([]);
});

test("a backup that was made before locks were asked for is locked now", () => {
  expect(extensions([backup("a", "2026-11-10", null), backup("b", "2026-11-21", "2026-12-21")])).toMatchObject([{ id: "a", from: null, until: day("2026-12-10") }]);
});

test.each([
  ["is pinned", { pinned: true }],
  ["is held", { held: true }],
])("the lock of one that %s is renewed while it is, in strides no longer than it was kept so far", (_, more) => {
  const others = [backup("new", "2026-11-21", "2026-12-21")];
  expect(extensions([backup("p", "2026-09-01", "2026-11-23", more), ...others])).toMatchObject([{ id: "p", until: day("2026-12-24") }]);
  expect(extensions([backup("p", "2026-11-12", "2026-11-23", more), ...others])).toMatchObject([{ id: "p", until: day("2026-12-04") }]);
  expect(extensions([backup("p", "2026-09-01", "2026-11-24", more), ...others])).toEqual([]);
});

test("nothing that goes is locked for longer", () => {
  expect(extensions([backup("old", "2026-09-01", "2026-10-01"), backup("new", "2026-11-21", "2026-12-21")])).toEqual([]);
});
