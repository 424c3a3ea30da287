import fc from "fast-check";
import { expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { countRuns } from "../../../src/catalog/compliance-queries.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { listRuns, newestSlot } from "../../../src/catalog/runs.ts";
import { listSlots } from "../../../src/catalog/slot-population.ts";
import { pendingIntervals, recordSlotDone, slotFacts } from "../../../src/catalog/slot-intervals.ts";
import type { HistoryEntry } from "../../../src/catalog/history-entry.ts";

const SCHEDULE = { kind: "every", seconds: 900 } as const;
const KIND = { source: "db", operation: "log", type: "log" };
const START = Date.parse("2026-11-21T22:00:00Z");
const slotAt = (index: number): Date => new Date(START + index * 900_000);

/** What may become of a slot: done, done late, done at the second attempt, failed for good, missed; and whether the evidence is written after it. */
const fate = fc.record({ end: fc.constantFrom("done", "done", "done", "late", "second", "failed", "missed"), flush: fc.boolean() });

/** A host that plays slots, writes evidence as the operations do, and may lose its catalog. */
class Host {
  readonly entries: HistoryEntry[] = [];
  readonly catalog = Catalog.open(":memory:");

  play(index: number, end: string): void {
    const slot = slotAt(index);
    if (end === "missed") {
      this.flush();
      this.#append("run.missed", slot, { run: `m${index}`, ...KIND, trigger: "schedule", scheduledFor: slot.toISOString(), outcome: "missed", slots: 1, reason: "away" });
      return;
    }
    if (end === "failed" || end === "second") {
      this.flush();
      const what = { run: `f${index}`, ...KIND, trigger: "schedule", scheduledFor: slot.toISOString(), schedule: SCHEDULE, attempt: 1, startedAt: slot.toISOString() };
      this.#append("run.finished", slot, { ...what, outcome: "failed", reason: "no connection", retryable: true, figures: {} });
    }
    if (end === "failed") return;
    const reason = end === "done" ? null : end;
    const [startedAt, finishedAt] = [slot, new Date(slot.getTime() + 2000)];
    recordSlotDone(this.catalog, { ...KIND, slot, schedule: SCHEDULE, startedAt, finishedAt, reason, figures: { durableLsn: `0/${index}` } });
  }

  flush(): void {
    const intervals = pendingIntervals(this.catalog, null, 100);
    if (intervals.length > 0) this.#append("run.slots", slotAt(0), slotFacts(intervals));
  }

  #append(kind: string, at: Date, facts: Record<string, unknown>): void {
    const entry = { writer: "w".repeat(64), sequence: this.entries.length + 1, at: at.toISOString(), kind, facts };
    this.entries.push(entry);
    applyEntry(this.catalog, entry);
  }
}

/** All that anybody can ask about the slots. */
function knowledge(catalog: Catalog): unknown {
  return { runs: listRuns(catalog, { limit: 1000 }), counts: countRuns(catalog), newest: newestSlot(catalog, KIND, new Date("2030-01-01")) };
}

test("every slot is in the population once, as it ended; an interval is one row; and evidence alone brings all of it back", () => {
  fc.assert(
    fc.property(fc.array(fate, { minLength: 1, maxLength: 40 }), (fates) => {
      const host = new Host();
      for (const [index, { end, flush }] of fates.entries()) {
        host.play(index, end);
        if (flush) host.flush();
      }
      const slots = [...listSlots(host.catalog, KIND, slotAt(0), slotAt(fates.length))];
      expect(slots.map(({ slot }) => slot)).toEqual(fates.map((_, index) => slotAt(index).toISOString()));
      expect(slots.map(({ outcome }) => outcome)).toEqual(fates.map(({ end }) => (end === "missed" || end === "failed" ? end : "done")));
      host.flush();
      expect(pendingIntervals(host.catalog, null, 100)).toEqual([]);
      const known = knowledge(host.catalog);
      // Twice over changes nothing.
      for (const entry of host.entries) applyEntry(host.catalog, entry);
      expect(knowledge(host.catalog)).toEqual(known);
      using rebuilt = Catalog.open(":memory:");
      for (const entry of host.entries) applyEntry(rebuilt, entry);
      expect(knowledge(rebuilt)).toEqual(known);
      expect([...listSlots(rebuilt, KIND, slotAt(0), slotAt(fates.length))]).toEqual(slots);
      host.catalog[Symbol.dispose]();
    }),
    { numRuns: 25 },
  );
});

test("a day of slots that were done is one row, and what was done while an entry was written waits for the next", () => {
  const host = new Host();
  for (let i = 0; i < 104; i++) host.play(i, "done");
  expect(listRuns(host.catalog).map(({ slots, scheduledFor, until }) => [slots, scheduledFor, until])).toEqual([
    [96, "2026-11-22T00:00:00.000Z", "2026-11-22T23:45:00.000Z"],
    [8, "2026-11-21T22:00:00.000Z", "2026-11-21T23:45:00.000Z"],
  ]);
  const facts = slotFacts(pendingIntervals(host.catalog, null, 100));
  host.play(104, "done");
  host.play(105, "done");
  applyEntry(host.catalog, { writer: "w", sequence: 1, at: slotAt(104).toISOString(), kind: "run.slots", facts });
  expect(pendingIntervals(host.catalog, null, 100).map(({ from, until, slots }) => [from, until, slots])).toEqual([["2026-11-23T00:00:00.000Z", "2026-11-23T00:15:00.000Z", 2]]);
  expect(countRuns(host.catalog)).toEqual([{ source: "db", operation: "log", outcome: "succeeded", count: 106 }]);
  host.catalog[Symbol.dispose]();
});
