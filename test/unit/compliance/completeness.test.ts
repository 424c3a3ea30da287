import { expect, test } from "vitest";
import { completenessOf } from "../../../src/compliance/completeness.ts";
import { buildReport } from "../../../src/compliance/report.ts";
import { iso, loadTestInventory, openHistory } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();
const [from, to] = [new Date(iso("2026-11-01 00:00")), new Date(iso("2026-11-02 00:00"))];

function promise(history: History, at: string, until: string, everySeconds: number): void {
  const work = [{ operation: "drill", type: null, schedule: { kind: "every", seconds: everySeconds }, slots: 0 }];
  history.entry("schedule.committed", at, {
    from: iso(at),
    until: iso(until),
    sha256: "0".repeat(64),
    policies: [{ policy: "p", sha256: "0".repeat(64), work, sources: ["orders"] }],
  });
}

test("a slot that was promised and that nothing is on record about is named; missed ones are on record", async () => {
  await using history = await openHistory();
  promise(history, "2026-10-31 23:30", "2026-11-02 00:00", 6 * 3600);
  history.passedOver({ operation: "drill", slot: "2026-11-01 00:00" });
  history.ran({ operation: "drill", at: "2026-11-01 06:00:01", slot: "2026-11-01 06:00", outcome: "failed" });
  history.passedOver({ operation: "drill", slot: "2026-11-01 18:00" });
  expect(completenessOf(history.catalog, ["orders"], from, to)).toEqual([
    { source: "orders", operation: "drill", type: null, promised: 4, onRecord: 3, unaccounted: [iso("2026-11-01 12:00")] },
  ]);
});

test("what was promised before a policy changed is not asked for afterwards", async () => {
  await using history = await openHistory();
  promise(history, "2026-10-31 23:30", "2026-11-02 00:00", 6 * 3600);
  promise(history, "2026-11-01 05:00", "2026-11-02 00:00", 12 * 3600);
  expect(completenessOf(history.catalog, ["orders", "wiki"], from, to)).toMatchObject([
    { promised: 2, onRecord: 0, unaccounted: [iso("2026-11-01 00:00"), iso("2026-11-01 12:00")] },
  ]);
});

test("drills are on record after their backup has expired; and where there was none, nothing is evidenced", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-01 04:00:00", { backupId: "20261101T020001Z-full" });
  history.entry("deletion", "2026-11-01 20:00", { source: "orders", backup: "20261101T020001Z-full", repository: "onsite" });
  const report = buildReport({ catalog: history.catalog, inventory, from, to, now: to, sources: null, evidenceHead: null });
  expect(report.population.drills).toMatchObject([{ backupId: "20261101T020001Z-full", verdict: "pass" }]);
  const without = report.sources.filter(({ drills }) => drills.run === 0);
  expect(without.length).toBeGreaterThan(0);
  expect(without.map(({ rules }) => rules.find(({ rule }) => rule === "recovery_tested")?.status)).toEqual(without.map(() => "not_evidenced"));
});
