import { expect, test } from "vitest";
import { explainPolicy } from "../../../src/domain/explain.ts";
import type { ExplainInput } from "../../../src/domain/explain.ts";

const DAY = 86_400;
const KEPT = { keepLast: null, daily: null, weekly: null, monthly: null, yearly: null } as const;

const POLICY: ExplainInput = {
  objectives: { rpoSeconds: 300, rtoSeconds: 3600 },
  backups: [
    {
      type: "full",
      schedule: { kind: "every", seconds: 7 * DAY },
      retention: { ...KEPT, keepForSeconds: 84 * DAY },
      repositories: ["onsite", "cloud"],
      recoveryTimeBudgetSeconds: null,
    },
    {
      type: "differential",
      schedule: { kind: "every", seconds: DAY },
      retention: { ...KEPT, keepForSeconds: null, keepLast: 3 },
      repositories: ["cloud"],
      recoveryTimeBudgetSeconds: null,
    },
  ],
  log: { schedule: { kind: "stream" }, retentionSeconds: DAY, repositories: ["cloud"], recoveryTimeBudgetSeconds: null },
  verify: null,
  drills: null,
  expire: { kind: "every", seconds: DAY },
  now: new Date("2026-01-01T00:00Z"),
};

test("a copy that locks says for how long nobody can delete what is in it: retention, and the margin", () => {
  const { copies } = explainPolicy({ ...POLICY, locks: new Map([["cloud", { mode: "compliance", marginSeconds: 7 * DAY }]]) });
  expect(copies.map(({ repository, lock }) => [repository, lock])).toEqual([
    ["onsite", null],
    [
      "cloud",
      {
        mode: "compliance",
        marginSeconds: 7 * DAY,
        // What a count keeps is locked for the margin, and on by each expiry.
        backups: [
          { type: "full", seconds: 91 * DAY },
          { type: "differential", seconds: 7 * DAY },
        ],
        walSeconds: 8 * DAY,
      },
    ],
  ]);
});

test("a policy file by itself knows of no locks", () => {
  expect(explainPolicy(POLICY).copies.map(({ lock }) => lock)).toEqual([null, null]);
});
