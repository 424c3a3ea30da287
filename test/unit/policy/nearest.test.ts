import { expect, test } from "vitest";
import { nearest, suggest } from "../../../src/policy/nearest.ts";

const KEYS = ["schedule", "retention", "repositories", "verify", "recoveryTimeBudget", "rto", "rpo"];

test.each([
  ["shedule", "schedule"],
  ["retnetion", "retention"],
  ["Repositories", "repositories"],
  ["recovery_time_budget", "recoveryTimeBudget"],
  ["recovery-budget", "recoveryTimeBudget"],
  ["RTO", "rto"],
  ["hooks", null],
  ["ttl", null],
  ["", null],
])("%j is taken for %j", (written, meant) => {
  expect(nearest(written, KEYS)).toBe(meant);
});

test("where nothing is near, all there is to choose from is named", () => {
  expect(suggest("hooks", ["rto", "rpo"])).toBe("known here: rto, rpo");
  expect(nearest("rto", [])).toBeNull();
});
