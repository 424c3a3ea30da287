import fc from "fast-check";
import { expect, test } from "vitest";
import { BACKUP_TYPES } from "../../src/domain/backup-id.ts";
import type { BackupType } from "../../src/domain/backup-id.ts";
import { isWithin, nextClosing, nextOpening } from "../../src/domain/window.ts";
import { planExpiry } from "../../src/domain/retention.ts";
import type { RetentionRule } from "../../src/domain/retention.ts";
import { countSlots, slotsBetween } from "../../src/domain/schedule.ts";
import type { Schedule } from "../../src/domain/schedule.ts";
import { simulate } from "../../src/domain/simulate.ts";
import { DEFAULT_ASSUMPTIONS } from "../../src/domain/simulation-model.ts";
import { SimulatedCopy } from "../../src/domain/simulated-copy.ts";
import type { SimulatedBackup } from "../../src/domain/simulated-copy.ts";
import type { BackupRule, SourceConfig } from "../../src/policy/types.ts";
import { findDue } from "../../src/scheduler/find-due.ts";

const MINUTE_MS = 60_000;
const TEN_MINUTES_MS = 10 * MINUTE_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const FROM = new Date("2026-10-23T00:00Z");
/** Two days before clocks change in Berlin and in New York, in autumn and in spring. */
const BEGINNINGS = ["2026-10-23", "2026-10-30", "2027-03-12", "2027-03-26"].map((day) => new Date(`${day}T00:00Z`));

/** A window as its text, and what that text means: a moment lies in it if, going back ten minutes at a time, a beginning comes before an end. */
interface Meant {
  readonly window: string;
  readonly contains: (at: Date) => boolean;
}

const clock = fc.integer({ min: 0, max: 24 * 6 - 1 }).map((tens) => `${String(Math.floor(tens / 6)).padStart(2, "0")}:${tens % 6}0`);
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const recurring: fc.Arbitrary<Meant> = fc
  .record({ from: clock, to: clock, every: fc.constantFrom("day", "week", "month"), weekday: fc.integer({ min: 0, max: 6 }) })
  .filter(({ from, to }) => from !== to)
  .map(({ from, to, every, weekday }) => {
    const day = { day: "", week: `${WEEKDAYS[weekday]} `, month: `first ${WEEKDAYS[weekday]} ` }[every];
    const begins = (at: Date): boolean =>
      at.toISOString().slice(11, 16) === from &&
      (every === "day" || at.getUTCDay() === weekday) &&
      (every !== "month" || new Date(at.getTime() - 7 * DAY_MS).getUTCMonth() !== at.getUTCMonth());
    const contains = (at: Date): boolean => {
      for (let ms = Math.floor(at.getTime() / TEN_MINUTES_MS) * TEN_MINUTES_MS, i = 0; i < 24 * 6; i++, ms -= TEN_MINUTES_MS) {
        if (begins(new Date(ms))) return true;
        if (new Date(ms).toISOString().slice(11, 16) === to) return false;
      }
      return false;
    };
    return { window: `${day}${from}-${to}`, contains };
  });

const once: fc.Arbitrary<Meant> = fc
  .record({ start: fc.integer({ min: -600, max: 600 }), length: fc.integer({ min: 1, max: 600 }), base: fc.constantFrom(...BEGINNINGS) })
  .map(({ start, length, base }) => {
    const from = base.getTime() + start * 10 * MINUTE_MS;
    const until = from + length * 10 * MINUTE_MS;
    const text = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    return { window: `${text(from)}/${text(until)}`, contains: (at) => at.getTime() >= from && at.getTime() < until };
  });

const meant = fc.array(fc.oneof(recurring, recurring, once), { maxLength: 3 });
const textOf = (windows: readonly Meant[]): string[] => windows.map(({ window }) => window);
const isMeant = (windows: readonly Meant[], at: Date): boolean => windows.some(({ contains }) => contains(at));

test("windows open and close when a look at every tenth minute says so", () => {
  fc.assert(
    fc.property(meant, fc.constantFrom(...BEGINNINGS), fc.integer({ min: 0, max: 30 * 24 * 60 * 60 }), (all, base, second) => {
      const at = new Date(base.getTime() + second * 1000);
      const windows = textOf(all);
      expect(isWithin(windows, at)).toBe(isMeant(all, at));
      const ahead = Array.from({ length: 2 * 24 * 6 }, (_, i) => new Date((Math.floor(at.getTime() / MINUTE_MS / 10) + i + 1) * 10 * MINUTE_MS));
      const [opening, closing] = [nextOpening(windows, at), nextClosing(windows, at)];
      const isOpen = windows.length === 0 || isMeant(all, at);
      const end = ahead.at(-1) ?? at;
      if (isOpen) expect(opening).toEqual(at);
      else expect(opening === null || opening > end ? undefined : opening).toEqual(ahead.find((moment) => isMeant(all, moment)));
      if (!isMeant(all, at)) expect(closing).toEqual(at);
      else expect(closing === null || closing > end ? undefined : closing).toEqual(ahead.find((moment) => !isMeant(all, moment)));
    }),
    { numRuns: 150 },
  );
});

const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York");
const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({ kind: fc.constant("cron" as const), expression: fc.constantFrom("0 2 * * 0", "0 2 * * *", "30 2 * * *", "20 1,2,13 * * *", "0 */6 * * *", "40 23 * * 1-5"), zone }),
  fc.record({ kind: fc.constant("every" as const), seconds: fc.constantFrom(1800, 3600, 6 * 3600, 7 * 3600, 86_400) }),
);

test("slots are counted as they are listed", () => {
  fc.assert(
    fc.property(schedule, fc.integer({ min: 0, max: 40 * 24 * 60 }), fc.integer({ min: 0, max: 10 * 24 * 60 }), (when, start, length) => {
      const after = new Date(FROM.getTime() + start * MINUTE_MS);
      const until = new Date(after.getTime() + length * MINUTE_MS);
      expect(countSlots(when, after, until)).toEqual({ count: slotsBetween(when, after, until, 10_000).length, exact: true });
    }),
    { numRuns: 200 },
  );
});

const RULE = {
  retention: { keepForSeconds: 86_400, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null },
  repositories: ["onsite"],
  recoveryTimeBudgetSeconds: null,
};
const EXPIRE: Schedule = { kind: "every", seconds: 3600 };
const DAYS = 5;

/** What the scheduler would begin on each day if it were asked every ten minutes, and everything ended at once. */
function askedEveryTenMinutes(
  backups: readonly BackupRule[],
  { heavy, blackout, from }: { heavy: readonly Meant[]; blackout: readonly Meant[]; from: Date },
): Record<BackupType, number>[] {
  const windows = { heavy: textOf(heavy), blackout: blackout.map(({ window }) => ({ window, reason: null })) };
  const source = {
    name: "orders",
    policy: { backups: new Map(backups.map((rule) => [rule.type, rule])), log: null, verify: null, drills: null, expire: { schedule: EXPIRE }, windows },
  };
  const handled = new Map<string, Date>();
  let firstBackupAt: Date | null = null;
  const days = Array.from({ length: DAYS }, () => ({ full: 0, differential: 0, incremental: 0 }));
  for (let ms = from.getTime(); ms < from.getTime() + DAYS * DAY_MS; ms += 10 * MINUTE_MS) {
    // Two that may begin at one moment begin one after the other.
    for (let i = 0; i < BACKUP_TYPES.length; i++) {
      const history = {
        firstBackupAt,
        lastFailure: () => null,
        lastHandled: (operation: string, type: string | null) => (operation === "backup" ? (handled.get(type ?? "") ?? null) : new Date(ms)),
      };
      const due = findDue(source as unknown as SourceConfig, history, new Date(ms));
      for (const { outcome, type, slot } of due.passedOver) if (outcome === "superseded") handled.set(type ?? "", new Date(slot));
      const next = due.run.find(({ operation }) => operation === "backup");
      if (next === undefined) break;
      expect(isMeant(blackout, new Date(ms))).toBe(false);
      if (firstBackupAt !== null && next.type !== "differential" && heavy.length > 0) expect(isMeant(heavy, new Date(ms))).toBe(true);
      handled.set(next.type ?? "", new Date(next.slot));
      // Whatever was asked for, the first is a full: there is nothing it could be made from.
      const made = firstBackupAt === null ? "full" : (next.type as BackupType);
      firstBackupAt ??= new Date(ms);
      const day = days[Math.floor((ms - from.getTime()) / DAY_MS)];
      if (day !== undefined) day[made] += 1;
    }
  }
  return days;
}

test("a simulation begins the backups that the scheduler begins, within windows, outside blackouts, whatever clocks do", () => {
  const types = fc.record({ full: schedule, differential: schedule, incremental: schedule }, { requiredKeys: ["full"] });
  fc.assert(
    fc.property(types, meant, meant, fc.constantFrom(...BEGINNINGS), (schedules, heavy, blackout, from) => {
      const backups = BACKUP_TYPES.flatMap((type): BackupRule[] => (schedules[type] === undefined ? [] : [{ ...RULE, type, schedule: schedules[type], verify: null }]));
      const assumptions = { ...DEFAULT_ASSUMPTIONS, databaseBytes: 1 };
      const input = {
        backups,
        heavy: textOf(heavy),
        blackout: textOf(blackout),
        assumptions,
        log: null,
        verify: null,
        drills: null,
        expire: EXPIRE,
        from,
        days: DAYS,
        defaulted: new Set<never>(),
      };
      const simulation = simulate({ ...input, objectives: { rtoSeconds: 1e6, rpoSeconds: 1e6 } });
      const began = simulation?.days.map(({ runs: { full, differential, incremental } }) => ({ full, differential, incremental }));
      expect(began).toEqual(askedEveryTenMinutes(backups, { heavy, blackout, from }));
    }),
    { numRuns: 20 },
  );
});

const count = fc.option(fc.integer({ min: 1, max: 3 }));
const rule: fc.Arbitrary<RetentionRule> = fc.record({
  keepForSeconds: fc.option(fc.integer({ min: 1, max: 6 * 24 }).map((hours) => hours * 1800)),
  keepLast: count,
  daily: count,
  weekly: fc.constant(null),
  monthly: fc.constant(null),
  yearly: fc.constant(null),
});

test("a simulated copy holds at any hour what expiry at every hour would have left", () => {
  const hours = fc.uniqueArray(fc.integer({ min: 0, max: 8 * 24 }), { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(hours, rule, rule, fc.array(fc.boolean(), { minLength: 201, maxLength: 201 }), (all, full, incremental, hasParent) => {
      const rules = new Map<BackupType, RetentionRule>([
        ["full", full],
        ["incremental", incremental],
      ]);
      const copy = new SimulatedCopy({ repository: "onsite", rules, logRetentionSeconds: null, hasLog: false });
      let reference: SimulatedBackup[] = [];
      for (let hour = 0; hour <= 10 * 24; hour++) {
        const now = new Date(FROM.getTime() + hour * HOUR_MS);
        if (all.includes(hour)) {
          const parent = hasParent[hour] === true ? reference.at(-1) : undefined;
          const ancestors = parent === undefined ? [] : [...parent.ancestors, parent.id];
          const made = { id: String(hour).padStart(4, "0"), type: parent === undefined ? ("full" as const) : ("incremental" as const), at: now, startedAt: now, ancestors };
          const backup = { ...made, state: "complete" as const, readBytes: 1, storedBytes: 1, repositories: ["onsite"] };
          copy.add(backup);
          reference = reference.concat(backup);
        }
        const kept = new Set(planExpiry({ backups: reference, rules, now }).flatMap(({ id, keep }) => (keep ? [id] : [])));
        reference = reference.filter(({ id }) => kept.has(id));
        copy.expire(now);
        expect(copy.backups.map(({ id }) => id)).toEqual(reference.map(({ id }) => id));
      }
    }),
    { numRuns: 60 },
  );
});
