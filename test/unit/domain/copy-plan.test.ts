import { expect, test } from "vitest";
import type { BackupType } from "../../../src/domain/backup-id.ts";
import type { RetentionRule } from "../../../src/domain/retention.ts";
import { planCopy } from "../../../src/domain/copy-plan.ts";
import type { CopyCandidate, CopyPlanInput } from "../../../src/domain/copy-plan.ts";

const NOW = new Date("2026-02-01T00:00:00Z");
const full = (day: number, identity = "same"): CopyCandidate => backup(`202601${String(day).padStart(2, "0")}T000000Z-full`, "full", day, [], identity);
const incr = (day: number, ...ancestors: CopyCandidate[]): CopyCandidate =>
  backup(
    `202601${String(day).padStart(2, "0")}T000000Z-incr`,
    "incremental",
    day,
    ancestors.map(({ id }) => id),
    "same",
  );

function backup(id: string, type: CopyCandidate["type"], day: number, ancestors: readonly string[], identity: string): CopyCandidate {
  return { id, type, at: new Date(Date.UTC(2026, 0, day)), ancestors, state: "complete", identity: `${id} ${identity}` };
}

function plan(input: Partial<CopyPlanInput>): ReturnType<typeof planCopy> {
  return planCopy({ from: [], to: [], usedUp: new Set(), only: null, rules: new Map(), types: null, now: NOW, ...input });
}

test("what a backup was made from is copied before it, and with it where only it is asked for", () => {
  const [first, second] = [full(3), incr(4, full(3))];
  expect(plan({ from: [second, first] }).copy).toEqual([first.id, second.id]);
  expect(plan({ from: [first, second, full(9)], only: second.id }).copy).toEqual([first.id, second.id]);
});

test("what is there already is not copied, and another content under its id is refused, with all that was made from it", () => {
  expect(plan({ from: [full(3)], to: [full(3)] })).toMatchObject({ copy: [], present: [full(3).id], refused: [] });
  const refused = plan({ from: [full(3), incr(4, full(3)), full(5)], to: [full(3, "another")] });
  expect(refused.copy).toEqual([full(5).id]);
  expect(refused.refused.map(({ id }) => id)).toEqual([full(3).id, incr(4, full(3)).id]);
});

test("an id that was given up there is refused", () => {
  expect(plan({ from: [full(3)], usedUp: new Set([full(3).id]) }).refused).toMatchObject([{ id: full(3).id }]);
});

test("what retention would remove there at once is not copied, but what a kept backup was made from is", () => {
  const newest = { keepForSeconds: null, keepLast: 1, daily: null, weekly: null, monthly: null, yearly: null };
  const rules = new Map<BackupType, RetentionRule>([
    ["full", newest],
    ["incremental", newest],
  ]);
  const found = plan({ from: [full(1), full(2), incr(3, full(2)), full(4), full(5)], rules });
  expect(found.copy).toEqual([full(2).id, incr(3, full(2)).id, full(5).id]);
  expect(found.expired).toEqual([full(1).id, full(4).id]);
});

test("types that the policy does not want there are not copied", () => {
  expect(plan({ from: [full(3), incr(4, full(3))], types: new Set(["full"]) }).copy).toEqual([full(3).id]);
});
