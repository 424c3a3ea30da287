import fc from "fast-check";
import { expect, test } from "vitest";
import { BACKUP_TYPES } from "../../src/domain/backup-id.ts";
import { dueWork, nextSlot, previousSlot, slotsBetween } from "../../src/domain/schedule.ts";
import type { DueInput, Schedule } from "../../src/domain/schedule.ts";

const moment = fc.date({ min: new Date("2024-01-01T00:00:00Z"), max: new Date("2032-01-01T00:00:00Z"), noInvalidDate: true });
const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu");
const expression = fc.constantFrom("0 2 * * 0", "0 2 * * *", "30 2 * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 */6 * * *", "0 4 1 * *", "0 6 * * 0#1", "0 0 L * *");
const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({ kind: fc.constant("cron" as const), expression, zone }),
  fc.record({ kind: fc.constant("every" as const), seconds: fc.constantFrom(1, 5, 60, 900, 3600, 6 * 3600, 7 * 3600, 86_400, 7 * 86_400) }),
);

test("the slots around a moment have no slot between them", () => {
  fc.assert(
    fc.property(schedule, moment, (when, now) => {
      const [before, after] = [previousSlot(when, now), nextSlot(when, now)];
      expect(before !== null && after !== null && before <= now && now < after).toBe(true);
      if (before === null || after === null) return;
      expect(nextSlot(when, before)).toEqual(after);
      expect(previousSlot(when, before)).toEqual(before);
      expect(previousSlot(when, new Date(after.getTime() - 1))).toEqual(before);
      expect(slotsBetween(when, new Date(before.getTime() - 1), after, 5)).toEqual([before, after]);
    }),
    { numRuns: 300 },
  );
});

const inputs: fc.Arbitrary<DueInput[]> = fc.uniqueArray(fc.record({ type: fc.constantFrom(...BACKUP_TYPES), schedule, lastHandled: fc.option(moment) }), {
  minLength: 1,
  maxLength: 3,
  selector: (input) => input.type,
});

/** `lastHandled` near enough to now that nothing has to be abbreviated. */
function recent(all: readonly DueInput[], now: Date): DueInput[] {
  return all.map((input) => {
    if (input.lastHandled === null || input.lastHandled > now) return input;
    const step = nextSlot(input.schedule, now)?.getTime() ?? 0;
    return {
      ...input,
      lastHandled: new Date(Math.max(input.lastHandled.getTime(), now.getTime() - 40 * Math.max(1000, step - (previousSlot(input.schedule, now)?.getTime() ?? 0)))),
    };
  });
}

test("every slot since the last handled one is decided exactly once, and only the newest of a type can run", () => {
  fc.assert(
    fc.property(inputs, moment, (all, now) => {
      const near = recent(all, now);
      const { decisions, older } = dueWork(near, now);
      expect(older).toEqual([]);
      for (const { type, schedule: when, lastHandled } of near) {
        const own = decisions.filter((decision) => decision.type === type);
        const newest = previousSlot(when, now);
        const expected = lastHandled === null ? [newest] : slotsBetween(when, lastHandled, now, 2000);
        expect(own.map(({ slot }) => slot)).toEqual(expected);
        expect(own.filter(({ decision }) => decision !== "missed").map(({ slot }) => slot)).toEqual(expected.slice(-1));
        expect(own.every(({ slot, reason }) => slot <= now && reason !== "")).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

test("when something is due, something runs, unless a stronger backup of the same hour has run or is to come", () => {
  fc.assert(
    fc.property(inputs, moment, (all, now) => {
      const near = recent(all, now);
      const { decisions } = dueWork(near, now);
      const superseded = decisions.filter(({ decision }) => decision === "superseded");
      if (superseded.length === 0 || decisions.some(({ decision }) => decision === "run")) return;
      for (const { type, slot } of superseded) {
        const hour = Math.floor(slot.getTime() / 3_600_000) * 3_600_000;
        const stronger = near.filter((input) => BACKUP_TYPES.indexOf(input.type) < BACKUP_TYPES.indexOf(type));
        expect(stronger.some((input) => slotsBetween(input.schedule, new Date(hour - 1), new Date(hour + 3_599_999), 1).length > 0)).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

test("what was decided is not decided again", () => {
  fc.assert(
    fc.property(inputs, moment, (all, now) => {
      const near = recent(all, now);
      const { decisions } = dueWork(near, now);
      const handled = near.map(({ type, schedule: when, lastHandled }) => ({
        type,
        schedule: when,
        lastHandled: decisions.findLast((decision) => decision.type === type)?.slot ?? lastHandled,
      }));
      expect(dueWork(handled, now)).toEqual({ decisions: [], older: [] });
    }),
    { numRuns: 100 },
  );
});
