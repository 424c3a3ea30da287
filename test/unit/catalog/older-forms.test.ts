import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { readSamples } from "../../../src/catalog/compliance-queries.ts";
import { MIGRATIONS } from "../../../src/catalog/migrations.ts";
import { listRuns, newestSlot, openRuns } from "../../../src/catalog/runs.ts";
import { applySlots, pendingIntervals, recordSlotDone, slotFacts } from "../../../src/catalog/slot-intervals.ts";
import { listSlots } from "../../../src/catalog/slot-population.ts";
import type { Schedule } from "../../../src/domain/schedule.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

/** The form in which times were text and each run had its schedule in full. */
const TEXT_TIMES = MIGRATIONS.findIndex((sql) => sql.includes("create table schedules"));
const QUARTER: Schedule = { kind: "every", seconds: 900 };
const LOG = { source: "db", operation: "log", type: "log" };

test("a catalog whose times are text is carried over: runs, slots that are not in the evidence yet, and samples to the millisecond", async () => {
  await using scratch = await openScratchFolder();
  const file = join(scratch.path, "catalog.sqlite");
  const old = new DatabaseSync(file);
  for (const migration of MIGRATIONS.slice(0, TEXT_TIMES)) old.exec(migration);
  old.exec(`pragma user_version = ${TEXT_TIMES}`);
  old.exec(`insert into runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, facts, sequence, schedule, attempt, retryable, pending_from, pending_slots) values
    ('r1', 'db', 'backup', 'full', 'schedule', '2026-01-01T02:00:00.000Z', '2026-01-01T02:00:00.123Z', '2026-01-01T02:10:00.999Z', 'failed', 'x', 1, null, null, '{"a":1}', 7, '{"kind":"cron","expression":"0 2 * * *","zone":"UTC"}', 2, 1, null, 0),
    ('r2', 'db', 'verify', null, 'manual', null, '2026-01-01T03:00:00.001Z', null, 'running', null, 1, null, '{"pid":1}', '{}', 8, null, 1, 0, null, 0),
    ('i1', 'db', 'log', 'log', 'schedule', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T01:00:01.000Z', 'succeeded', null, 5, '2026-01-01T01:00:00.000Z', null, '{}', 0, '{"kind":"every","seconds":900}', 1, 0, '2026-01-01T00:45:00.000Z', 2),
    ('m1', 'db', 'log', 'log', 'schedule', '2025-12-01T00:00:00.000Z', '2025-12-03T00:00:00.000Z', '2025-12-03T00:00:00.000Z', 'missed', 'away', 193, '2025-12-03T00:00:00.000Z', null, '{}', 3, '{"kind":"every","seconds":900}', 1, 0, null, 0)`);
  old.exec("insert into exposure values ('db', 'onsite', '2026-01-01T00:00:00.007Z', 1.5, 10), ('db', 'onsite', '2026-01-01T00:00:15.000Z', null, null)");
  old.exec("insert into exposure_spans values ('db', 'onsite', '2025-12-31T00:00:00.000Z', '2025-12-31T01:00:00.000Z', 9, 20, 240)");
  old.close();

  using catalog = Catalog.open(file);
  expect(listRuns(catalog).map(({ id }) => id)).toEqual(["r2", "r1", "i1", "m1"]);
  expect(listRuns(catalog, { operation: "backup" })).toEqual([
    {
      id: "r1",
      source: "db",
      operation: "backup",
      type: "full",
      trigger: "schedule",
      scheduledFor: "2026-01-01T02:00:00.000Z",
      startedAt: "2026-01-01T02:00:00.123Z",
      finishedAt: "2026-01-01T02:10:00.999Z",
      outcome: "failed",
      reason: "x",
      slots: 1,
      until: null,
      holder: null,
      attempt: 2,
      schedule: { kind: "cron", expression: "0 2 * * *", zone: "UTC" },
      facts: { a: 1 },
    },
  ]);
  expect(openRuns(catalog).map(({ id, startedAt, scheduledFor, finishedAt }) => [id, startedAt, scheduledFor, finishedAt])).toEqual([
    ["r2", "2026-01-01T03:00:00.001Z", null, null],
  ]);
  expect(newestSlot(catalog, LOG, new Date("2027-01-01T00:00:00Z"))?.slot.toISOString()).toBe("2026-01-01T01:00:00.000Z");
  const slots = (): string[] => [...listSlots(catalog, LOG, new Date("2025-12-01T00:00:00Z"), new Date("2026-01-02T00:00:00Z"))].map(({ slot, outcome }) => `${slot} ${outcome}`);
  expect(slots()).toHaveLength(193 + 5);
  expect([...readSamples(catalog, { source: "db", repository: "onsite", from: "2025-12-31T00:30:00.000Z", to: "2026-01-01T00:00:15.001Z" })]).toEqual([
    { at: "2025-12-31T00:00:00.000Z", until: "2025-12-31T01:00:00.000Z", seconds: 9, bytes: 20, samples: 240 },
    { at: "2026-01-01T00:00:00.007Z", seconds: 1.5, bytes: 10 },
    { at: "2026-01-01T00:00:15.000Z", seconds: null, bytes: null },
  ]);

  // It goes on where it was: the interval grows, and what was not in the evidence is one entry.
  const slot = new Date("2026-01-01T01:15:00Z");
  recordSlotDone(catalog, { ...LOG, slot, schedule: QUARTER, startedAt: slot, finishedAt: slot, reason: null, figures: {} });
  expect(slots()).toHaveLength(193 + 6);
  const pending = pendingIntervals(catalog, null, 10);
  expect(pending).toMatchObject([{ from: "2026-01-01T00:45:00.000Z", until: "2026-01-01T01:15:00.000Z", slots: 3, schedule: QUARTER }]);
  applySlots(catalog, { writer: "a", sequence: 9, at: slot.toISOString(), kind: "run.slots", facts: { ...slotFacts(pending) } });
  expect(pendingIntervals(catalog, null, 10)).toEqual([]);
});
