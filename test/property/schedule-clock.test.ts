import fc from "fast-check";
import { expect, test } from "vitest";
import type { Pause } from "../../src/domain/pause.ts";
import { previousSlot, slotsBetween } from "../../src/domain/schedule.ts";
import type { Schedule } from "../../src/domain/schedule.ts";
import { findDue } from "../../src/scheduler/find-due.ts";
import type { ScheduleHistory } from "../../src/scheduler/find-due.ts";
import type { SourceConfig } from "../../src/policy/types.ts";

/**
 * The scheduler on a clock that does what clocks do: goes on, stands still while the machine sleeps, jumps by hours both ways, and shows local time that is changed twice a year. Whatever it does, every
 * slot up to the latest time it ever showed is on record exactly once, and nothing runs twice.
 */
const HOUR_MS = 3_600_000;
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "America/St_Johns"];
const zone = fc.constantFrom(...ZONES);
const expression = fc.constantFrom("0 2 * * 0", "30 2 * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 */6 * * *", "0 0 * * *");
const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({ kind: fc.constant("cron" as const), expression, zone }),
  fc.record({ kind: fc.constant("every" as const), seconds: fc.constantFrom(300, 900, 3600, 6 * 3600) }),
);
/** Near the days on which clocks are changed somewhere, and on any. */
const begin = fc.oneof(
  fc
    .constantFrom("2026-03-08T05:00:00Z", "2026-03-28T23:00:00Z", "2026-04-04T14:00:00Z", "2026-10-03T14:00:00Z", "2026-10-24T23:00:00Z", "2026-11-01T04:00:00Z")
    .map((text) => new Date(text)),
  fc.date({ min: new Date("2026-01-01T00:00:00Z"), max: new Date("2027-01-01T00:00:00Z"), noInvalidDate: true }),
);
/** How far the clock goes between two looks. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 40 * 60 }).map((seconds) => seconds * 1000) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 30 }).map((hours) => hours * HOUR_MS) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }).map((hours) => -hours * HOUR_MS) },
);
const pause = fc.option(fc.record({ afterMs: fc.integer({ min: 0, max: 40 * HOUR_MS }), lengthMs: fc.integer({ min: HOUR_MS, max: 60 * HOUR_MS }) }));

function sourceOf(
  log: Schedule,
  full: Schedule,
  incremental: Schedule,
  { jitterSeconds, heavy, blackout }: { jitterSeconds: number; heavy: string[]; blackout: string[] },
): SourceConfig {
  const backups = new Map([full, incremental].map((when, index) => [index === 0 ? "full" : "incremental", { type: index === 0 ? "full" : "incremental", schedule: when }]));
  const windows = { heavy, blackout: blackout.map((window) => ({ window, reason: null })) };
  return {
    name: "db",
    policy: { backups, log: { schedule: log }, expire: { schedule: { kind: "every", seconds: 3600 } }, verify: null, drills: null, windows, jitterSeconds },
  } as unknown as SourceConfig;
}

interface Record {
  readonly kind: string;
  readonly slots: readonly string[];
  readonly outcome: string;
}

/** Looks as the scheduler does: what is superseded or skipped goes on record with what was missed before it, what is due is run, one thing after the other. */
class Looker {
  readonly records: Record[] = [];
  readonly #handled = new Map<string, Date>();
  readonly #source: SourceConfig;
  #firstBackupAt: Date | null = null;

  constructor(source: SourceConfig) {
    this.#source = source;
  }

  get firstBackupAt(): Date | null {
    return this.#firstBackupAt;
  }

  look(now: Date, pauses: readonly Pause[]): void {
    for (let i = 0; i < 10; i++) {
      const { run, passedOver } = findDue(this.#source, this.#history(), now, pauses);
      const [next] = run;
      for (const passed of passedOver) {
        const kind = `${passed.operation} ${passed.type}`;
        const isFinal =
          passed.outcome !== "missed" ||
          kind === `${next?.operation} ${next?.type}` ||
          passedOver.some((other) => other.outcome !== "missed" && other.type === passed.type && other.slot > passed.slot);
        if (!isFinal) continue;
        const until = new Date(passed.until ?? passed.slot);
        const slots = slotsBetween(passed.schedule, new Date(Date.parse(passed.slot) - 1), until, 10_000);
        if (slots.length !== passed.slots) throw new Error(`${passed.slots} slots are said to be ${slots.length}`);
        this.#record(kind, slots, passed.outcome);
      }
      if (next === undefined) return;
      this.#record(`${next.operation} ${next.type}`, [new Date(next.slot)], "run");
      if (next.operation === "backup") this.#firstBackupAt ??= now;
    }
  }

  #record(kind: string, slots: readonly Date[], outcome: string): void {
    this.records.push({ kind, slots: slots.map((slot) => slot.toISOString()), outcome });
    const last = slots.at(-1);
    if (last !== undefined) this.#handled.set(kind, last);
  }

  #history(): ScheduleHistory {
    return { lastHandled: (operation, type) => this.#handled.get(`${operation} ${type}`) ?? null, lastFailure: () => null, firstBackupAt: this.#firstBackupAt };
  }
}

test("whatever the clock does, every slot is on record exactly once, in order, and none is from the future", () => {
  const options = fc.record({
    jitterSeconds: fc.constantFrom(0, 0, 120),
    heavy: fc.constantFrom<string[]>([], ["02:00-04:00"], ["22:00-06:00 Europe/Berlin"]),
    blackout: fc.constantFrom<string[]>([], ["2026-10-25T00:00:00Z/2026-10-26T00:00:00Z"]),
  });
  fc.assert(
    fc.property(
      fc.tuple(schedule, schedule, schedule),
      options,
      begin,
      fc.array(step, { minLength: 5, maxLength: 60 }),
      pause,
      ([log, full, incremental], how, from, steps, paused) => {
        const looker = new Looker(sourceOf(log, full, incremental, how));
        const pauses =
          paused === null ? [] : [{ from: new Date(from.getTime() + paused.afterMs), until: new Date(from.getTime() + paused.afterMs + paused.lengthMs), reason: "move" }];
        let latest = from;
        let now = from;
        for (const ms of steps) {
          looker.look(now, pauses);
          if (now > latest) latest = now;
          now = new Date(now.getTime() + ms);
        }
        for (const [kind, when] of [
          ["log log", log],
          ["backup full", full],
          ["backup incremental", incremental],
        ] as const) {
          const slots = looker.records.filter((record) => record.kind === kind).flatMap((record) => record.slots);
          // Each once, in order, and without a hole between the first and the last.
          expect(slots).toEqual([...new Set(slots)].toSorted());
          const [first, last] = [slots[0], slots.at(-1)];
          if (first === undefined || last === undefined) continue;
          expect(slotsBetween(when, new Date(Date.parse(first) - 1), new Date(last), 10_000).map((slot) => slot.toISOString())).toEqual(slots);
          expect(last <= latest.toISOString()).toBe(true);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("once the clock goes on, nothing stays behind: the log is up to its newest slot at every look", () => {
  fc.assert(
    fc.property(schedule, begin, fc.array(step, { minLength: 2, maxLength: 30 }), (log, from, steps) => {
      const looker = new Looker(sourceOf(log, { kind: "every", seconds: 3600 }, { kind: "every", seconds: 6 * 3600 }, { jitterSeconds: 0, heavy: [], blackout: [] }));
      let now = from;
      let latest = new Date(0);
      for (const ms of steps) {
        looker.look(now, []);
        if (now > latest) latest = now;
        const newest = looker.records.findLast(({ kind }) => kind === "log log")?.slots.at(-1) ?? null;
        const expected = previousSlot(log, latest);
        if (looker.firstBackupAt !== null && expected !== null && expected > looker.firstBackupAt) expect(newest).toBe(expected.toISOString());
        now = new Date(now.getTime() + ms);
      }
    }),
    { numRuns: 60 },
  );
});

test("what fell into a pause is skipped, what lies around it is not", () => {
  const from = new Date("2026-11-20T00:10:00Z");
  const looker = new Looker(
    sourceOf({ kind: "every", seconds: 900 }, { kind: "every", seconds: 21_600 }, { kind: "every", seconds: 43_200 }, { jitterSeconds: 0, heavy: [], blackout: [] }),
  );
  const pauses = [{ from: new Date("2026-11-20T03:00:00Z"), until: new Date("2026-11-20T05:00:00Z"), reason: "move" }];
  for (let ms = from.getTime(); ms < from.getTime() + 8 * HOUR_MS; ms += 60_000) looker.look(new Date(ms), pauses);
  const skipped = looker.records.filter(({ kind, outcome }) => kind === "log log" && outcome === "skipped");
  expect(skipped.map(({ slots }) => [slots[0], slots.at(-1), slots.length])).toEqual([["2026-11-20T03:00:00.000Z", "2026-11-20T04:45:00.000Z", 8]]);
  expect(looker.records.filter(({ outcome }) => outcome === "missed")).toEqual([]);
});
