import fc from "fast-check";
import { expect, test } from "vitest";
import { BACKUP_TYPES } from "../../src/domain/backup-id.ts";
import type { BackupType } from "../../src/domain/backup-id.ts";
import { planExpiry } from "../../src/domain/retention.ts";
import type { ExpiryInput, RetainedBackup, RetentionRule } from "../../src/domain/retention.ts";

/**
 * Retention against a reference that follows the words of the policy language and nothing else: it walks the calendar day by day, and it deletes one backup at a time, never one from which something
 * that is still there was made. Histories are as bad as they come: clocks that jumped back, two backups at one moment, ids out of order, backups from the future, links that were not repeated.
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Some begin a few days before New Year, where weeks and years disagree. */
const begin = fc.oneof(
  fc.constant(Date.UTC(2024, 0, 2, 12)),
  fc.tuple(fc.integer({ min: 2023, max: 2031 }), fc.integer({ min: 25, max: 31 })).map(([year, day]) => Date.UTC(year, 11, day)),
);

const count = fc.option(fc.integer({ min: 1, max: 6 }), { freq: 2 });
const rule: fc.Arbitrary<RetentionRule> = fc.record({
  keepForSeconds: fc.option(fc.oneof(fc.constantFrom(3600, 86_400, 7 * 86_400, 30 * 86_400), fc.integer({ min: 1, max: 400 * 86_400 }))),
  keepLast: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
});
const rules: fc.Arbitrary<ReadonlyMap<BackupType, RetentionRule>> = fc
  .record({ full: rule, differential: rule, incremental: rule }, { requiredKeys: ["full"] })
  .map((byType) => new Map(BACKUP_TYPES.flatMap((type) => (byType[type] === undefined ? [] : [[type, byType[type]] as const]))));

const rarely = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
const seed = fc.record({
  type: fc.constantFrom(...BACKUP_TYPES),
  /** Hours after the one before. Mostly forward, sometimes not at all, sometimes back. */
  step: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 2, arbitrary: fc.integer({ min: 100, max: 3000 }) },
    fc.constant(0),
    fc.integer({ min: -400, max: -1 }),
  ),
  corrupt: rarely,
  pinned: rarely,
  held: rarely,
  parent: fc.nat({ max: 1000 }),
  /** Its manifest names its parent only, not what that was made from. */
  terse: fc.boolean(),
  /** What it was made from was lost. */
  lost: rarely,
});
type Seed = typeof seed extends fc.Arbitrary<infer T> ? T : never;

/** In the order in which they were made, which the clock may contradict. */
function history(seeds: readonly Seed[], salt: number, beginMs: number): RetainedBackup[] {
  const made: RetainedBackup[] = [];
  let at = beginMs;
  for (const [i, one] of seeds.entries()) {
    at += one.step * HOUR_MS;
    const candidates = made.filter(({ type }) => type === "full" || (one.type === "incremental" && type === "incremental"));
    const parent = candidates[candidates.length - 1 - (one.parent % Math.max(1, Math.min(4, candidates.length)))];
    const type = parent === undefined ? "full" : one.type;
    const line = type === "full" || parent === undefined ? [] : one.terse ? [parent.id] : [...parent.ancestors, parent.id];
    made.push({
      id: `${(i * 7919 + salt) % 10_007}-${i}`,
      type,
      at: new Date(at),
      ancestors: one.lost && line.length > 0 ? ["gone-long-ago", ...line] : line,
      state: one.corrupt ? "complete_with_corruption" : "complete",
      pinned: one.pinned,
      held: one.held,
    });
  }
  return made;
}

/** Now is somewhere around the newest backup, also before it (the clock of the host was wrong); or where an age ends, to the millisecond. */
const moment = fc.oneof(
  fc.record({ ageHours: fc.integer({ min: -500, max: 6000 }) }),
  fc.record({ backup: fc.nat({ max: 1000 }), type: fc.constantFrom(...BACKUP_TYPES), offMs: fc.integer({ min: -1, max: 1 }) }),
);
const histories = fc.tuple(fc.array(seed, { maxLength: 40, size: "max" }), fc.nat({ max: 9999 }), begin).map((made) => history(...made));
const input: fc.Arbitrary<ExpiryInput> = fc.record({ backups: histories, rules, when: moment }).map(({ backups, rules: byType, when }) => {
  const newestMs = Math.max(Date.UTC(2024, 0, 1), ...backups.map(({ at }) => at.getTime()));
  if ("ageHours" in when) return { backups, rules: byType, now: new Date(newestMs + when.ageHours * HOUR_MS) };
  const from = backups[when.backup % Math.max(1, backups.length)]?.at.getTime() ?? newestMs;
  return { backups, rules: byType, now: new Date(from + (byType.get(when.type)?.keepForSeconds ?? 0) * 1000 + when.offMs) };
});

test("what stays is what the reference leaves, as recovery point or for the sake of others", () => {
  fc.assert(
    fc.property(input, (given) => {
      const wanted = wantedInOwnRight(given);
      const left = deleteOneByOne(given.backups, wanted);
      const planned = planExpiry(given).map(({ id, keep, recoveryPoint, heldBy }) => ({ id, keep, recoveryPoint, heldBy: [...heldBy].toSorted() }));
      expect(planned).toEqual(
        given.backups.map(({ id }) => ({ id, keep: left.some((other) => other.id === id), recoveryPoint: wanted.has(id), heldBy: madeFrom(id, given.backups, left).toSorted() })),
      );
    }),
    { numRuns: 400 },
  );
});

test("nothing that stays lacks what it was made from, whatever the clock said", () => {
  fc.assert(
    fc.property(input, (given) => {
      const kept = survivors(given);
      const before = new Set(given.backups.map(({ id }) => id));
      const after = new Set(kept.map(({ id }) => id));
      for (const { ancestors } of kept) expect(ancestors.filter((id) => before.has(id) && !after.has(id))).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test("a source that could be restored can be restored afterwards, from its newest clean full on", () => {
  fc.assert(
    fc.property(input, (given) => {
      const cleanFulls = (backups: readonly RetainedBackup[]): RetainedBackup[] => backups.filter(({ type, state }) => type === "full" && state === "complete");
      const newest = Math.max(...cleanFulls(given.backups).map(({ at }) => at.getTime()));
      expect(Math.max(...cleanFulls(survivors(given)).map(({ at }) => at.getTime()))).toBe(newest);
    }),
    { numRuns: 300 },
  );
});

test("expiring again at the same moment takes nothing, and expiring often leaves no more than expiring once", () => {
  fc.assert(
    fc.property(input, fc.integer({ min: 1, max: 3000 }), (given, hours) => {
      const once = survivors(given);
      expect(survivors({ ...given, backups: once })).toEqual(once);
      const later = new Date(given.now.getTime() + hours * HOUR_MS);
      const inTwoSteps = survivors({ ...given, backups: once, now: later });
      expect(inTwoSteps).toEqual(survivors({ ...given, now: later }));
    }),
    { numRuns: 300 },
  );
});

function survivors(given: ExpiryInput): RetainedBackup[] {
  const kept = new Set(planExpiry(given).flatMap(({ id, keep }) => (keep ? [id] : [])));
  return given.backups.filter(({ id }) => kept.has(id));
}

/** "A backup is kept while any of these wants it." */
function wantedInOwnRight({ backups, rules: byType, now }: ExpiryInput): Set<string> {
  const wanted = new Set<string>();
  const want = (backup: RetainedBackup | undefined): void => void (backup !== undefined && wanted.add(backup.id));
  for (const backup of backups) if (backup.pinned === true || backup.held === true || !byType.has(backup.type)) want(backup);
  for (const [type, { keepForSeconds, keepLast, daily, weekly, monthly, yearly }] of byType) {
    const all = oldestFirst(backups.filter((backup) => backup.type === type));
    const clean = all.filter(({ state }) => state === "complete");
    // A bare retention is keepFor: an age, counted from the moment the backup brings back.
    for (const backup of all) if (keepForSeconds !== null && now.getTime() - backup.at.getTime() < keepForSeconds * 1000) want(backup);
    for (let i = 1; i <= (keepLast ?? 0); i++) want(clean[clean.length - i]);
    lastOfEachPeriod(clean, daily ?? 0, (day) => day).forEach(want);
    lastOfEachPeriod(clean, weekly ?? 0, mondayOf).forEach(want);
    lastOfEachPeriod(clean, monthly ?? 0, (day) => day.slice(0, 7)).forEach(want);
    lastOfEachPeriod(clean, yearly ?? 0, (day) => day.slice(0, 4)).forEach(want);
  }
  const fulls = oldestFirst(backups.filter(({ type }) => type === "full"));
  want(fulls.findLast(({ state }) => state === "complete") ?? fulls.at(-1));
  return wanted;
}

/** Walks back day by day from the newest backup to the oldest, and takes the last backup of every period it comes to, until it has as many as are asked for. */
function lastOfEachPeriod(backups: readonly RetainedBackup[], periods: number, periodOf: (day: string) => string): RetainedBackup[] {
  const found: RetainedBackup[] = [];
  const met: string[] = [];
  const [oldest, newest] = [backups[0], backups.at(-1)];
  if (oldest === undefined || newest === undefined) return [];
  for (let ms = startOfDay(newest.at); ms >= startOfDay(oldest.at) && found.length < periods; ms -= DAY_MS) {
    const onThatDay = backups.filter(({ at }) => at.getTime() >= ms && at.getTime() < ms + DAY_MS);
    const last = onThatDay.at(-1);
    const period = periodOf(new Date(ms).toISOString().slice(0, 10));
    if (last === undefined || met.includes(period)) continue;
    met.push(period);
    found.push(last);
  }
  return found;
}

/** Weeks begin on Monday, so a week is known by its Monday. */
function mondayOf(day: string): string {
  const at = new Date(`${day}T00:00Z`);
  while (at.getUTCDay() !== 1) at.setUTCDate(at.getUTCDate() - 1);
  return at.toISOString().slice(0, 10);
}

function startOfDay(at: Date): number {
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate());
}

function oldestFirst(backups: readonly RetainedBackup[]): RetainedBackup[] {
  return [...backups].toSorted((a, b) => (a.at.getTime() === b.at.getTime() ? (a.id < b.id ? -1 : 1) : a.at.getTime() - b.at.getTime()));
}

/** Deletes one that nobody wants and that nothing there was made from, and looks again, until there is none. */
function deleteOneByOne(backups: readonly RetainedBackup[], wanted: ReadonlySet<string>): RetainedBackup[] {
  let left = [...backups];
  for (;;) {
    const victim = left.find(({ id }) => !wanted.has(id) && !left.some(({ ancestors }) => ancestors.includes(id)));
    if (victim === undefined) return left;
    left = left.filter((backup) => backup !== victim);
  }
}

/** Those that are left and were made from it, directly or through others. */
function madeFrom(id: string, all: readonly RetainedBackup[], left: readonly RetainedBackup[]): string[] {
  if (!left.some((backup) => backup.id === id)) return [];
  const needs = (backup: RetainedBackup): boolean => backup.ancestors.includes(id) || all.some((between) => backup.ancestors.includes(between.id) && needs(between));
  return left.filter(needs).map((backup) => backup.id);
}
