import { expect, test } from "vitest";
import { AlertKeeper } from "../../../src/alerts/alert-keeper.ts";
import { readSourceFacts } from "../../../src/alerts/source-facts.ts";
import { listOpenAlerts } from "../../../src/catalog/alerts.ts";
import type { HistoryEntry } from "../../../src/catalog/history-entry.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { saveSnapshot } from "../../../src/catalog/snapshots.ts";
import { assessSource } from "../../../src/domain/alert-conditions.ts";
import { must } from "../../../src/errors.ts";
import { findDue } from "../../../src/scheduler/find-due.ts";
import { SlotHistory } from "../../../src/scheduler/slot-history.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const MINUTE_MS = 60_000;

test("a drill that came to no result is tried three times more, a minute, four and sixteen after the one before; then it is an alert, and one that passes ends it", async () => {
  await using history = await openHistory();
  const inventory = await loadTestInventory();
  const source = must(
    [...inventory.sources.values()].find(({ name }) => name === "orders"),
    "a source",
  );
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:00", slot: "2026-11-01 02:00" });
  let now = Date.parse(iso("2026-11-08 12:00:00"));
  const clock = { now: () => new Date(now), monotonicMs: () => now, sleep: async () => undefined };
  const entries: HistoryEntry[] = [];
  const quiet = { schedulerOnTime: true, configurationProblem: null, findings: [], expiring: [], capacity: [], locks: [], access: [], channels: [], evidence: [] };
  const keeper = new AlertKeeper({
    catalog: history.catalog,
    clock,
    sources: () => [source],
    systemFacts: () => quiet,
    record: async (kind, facts) => {
      const entry = { writer: "b".repeat(64), sequence: entries.length + 1, at: clock.now().toISOString(), kind, facts };
      entries.push(entry);
      applyEntry(history.catalog, entry);
    },
  });
  const alerts = async (): Promise<string[]> => {
    for (let i = 0; i < 3; i++) {
      const exposure = ["onsite", "cloud"].map((repository) => ({ repository, seconds: 1, bytes: 10, observedAt: clock.now().toISOString() }));
      saveSnapshot(history.catalog, clock.now(), { ...SNAPSHOT, exposure });
      await keeper.look();
      now += 5000;
    }
    return listOpenAlerts(history.catalog)
      .map(({ title }) => title)
      .filter((title) => title.includes("drill"));
  };
  const dueDrill = (): { slot: string; attempt: number } | null => {
    const found = findDue(source, new SlotHistory(history.catalog, clock).of("orders"), clock.now()).run.find(({ operation }) => operation === "drill");
    return found === undefined ? null : { slot: found.slot, attempt: found.attempt };
  };

  const first = must(dueDrill(), "a drill that is due");
  expect(first.attempt).toBe(1);
  for (const [attempt, waitMinutes] of [
    [1, 1],
    [2, 4],
    [3, 16],
  ] as const) {
    now = drill(history, { ...first, attempt, verdict: "inconclusive" }, now);
    const endedAt = now;
    expect(await alerts()).toEqual([]);
    now = endedAt + waitMinutes * MINUTE_MS - 1;
    expect(dueDrill()).toBeNull();
    now++;
    expect(dueDrill()).toEqual({ slot: first.slot, attempt: attempt + 1 });
    expect(await alerts()).toEqual([]);
  }
  now = drill(history, { ...first, attempt: 4, verdict: "inconclusive" }, now);
  expect(await alerts()).toEqual(["the last drill of orders came to no result, tried 4 times"]);
  now += 60 * MINUTE_MS;
  expect(dueDrill()).toBeNull();
  // Another one, by hand, is judged at once.
  history.drilled(clock.now().toISOString(), { verdict: "pass", rtoActualSeconds: 60 });
  now += 10 * MINUTE_MS;
  expect(await alerts()).toEqual([]);
  history.drilled(clock.now().toISOString(), { verdict: "inconclusive", fault: "environment", rtoActualSeconds: null });
  now += 10 * MINUTE_MS;
  expect(await alerts()).toEqual(["the last drill of orders came to no result"]);
});

test("where nobody tries again when the time has come, the drill that came to no result is an alert", async () => {
  await using history = await openHistory();
  const { sources } = await loadTestInventory();
  const source = must(
    [...sources.values()].find(({ name }) => name === "orders"),
    "a source",
  );
  const ended = drill(history, { slot: iso("2026-11-08 04:00"), attempt: 1, verdict: "inconclusive" }, Date.parse(iso("2026-11-08 04:00")));
  const after = (minutes: number): string[] =>
    assessSource(readSourceFacts(history.catalog, source), new Date(ended + minutes * MINUTE_MS))
      .conditions.map(({ kind }) => kind)
      .filter((kind) => kind.startsWith("drill"));
  expect(after(2)).toEqual([]);
  expect(after(24 * 60)).toEqual(["drill_inconclusive"]);
});

/** A drill on record as the scheduler runs it. Returns when it ended. */
function drill(history: History, { slot, attempt, verdict }: { slot: string; attempt: number; verdict: string }, at: number): number {
  const run = `drill-${slot}-${attempt}`;
  const of = { run, source: "orders", operation: "drill", type: null };
  history.entry("run.started", new Date(at).toISOString(), { ...of, trigger: "schedule", scheduledFor: slot, attempt, holder: { host: "db1", pid: 1 } });
  const ended = at + 30_000;
  history.entry("run.finished", new Date(ended).toISOString(), {
    ...of,
    outcome: "failed",
    reason: "recovery: no PostgreSQL 15 is installed here",
    figures: { verdict, fault: "environment", rtoActualSeconds: null },
    verified: [],
    retryable: true,
  });
  return ended;
}
