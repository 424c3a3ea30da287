import fc from "fast-check";
import { expect, test } from "vitest";
import { BACKUP_TYPES } from "../../src/domain/backup-id.ts";
import type { BackupType } from "../../src/domain/backup-id.ts";
import { planExpiry } from "../../src/domain/retention.ts";
import type { ExpiryDecision, ExpiryInput, RetainedBackup, RetentionRule } from "../../src/domain/retention.ts";

const DAY_MS = 86_400_000;
const NOW = new Date("2026-11-22T12:00:00Z");

const count = fc.option(fc.integer({ min: 1, max: 5 }));
const rule: fc.Arbitrary<RetentionRule> = fc.record({
  keepForSeconds: fc.option(fc.integer({ min: 1, max: 400 * 86_400 })),
  keepLast: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
});
const rules = fc
  .record({ full: rule, differential: rule, incremental: rule }, { requiredKeys: [] })
  .map((byType) => new Map(BACKUP_TYPES.flatMap((type) => (byType[type] === undefined ? [] : [[type, byType[type]] as const]))));

const seed = fc.record({
  type: fc.constantFrom(...BACKUP_TYPES),
  hoursAgo: fc.oneof(fc.integer({ min: -24, max: 24 * 60 }), fc.integer({ min: 0, max: 24 * 366 * 6 })),
  corrupt: fc.boolean(),
  pinned: fc.constantFrom(false, false, false, false, true),
  held: fc.constantFrom(false, false, false, false, true),
  parent: fc.nat({ max: 1000 }),
});

/** Chains as backups make them: an incremental refers to an earlier full or incremental and all of its ancestors, a differential to an earlier full. */
function build(seeds: readonly (typeof seed extends fc.Arbitrary<infer T> ? T : never)[]): RetainedBackup[] {
  const built: RetainedBackup[] = [];
  for (const [i, one] of seeds.toSorted((a, b) => b.hoursAgo - a.hoursAgo).entries()) {
    const candidates = built.filter(({ type }) => type === "full" || (one.type === "incremental" && type === "incremental"));
    const parent = candidates[one.parent % Math.max(1, candidates.length)];
    const type: BackupType = parent === undefined ? "full" : one.type;
    built.push({
      id: `${String(i).padStart(3, "0")}-${type}`,
      type,
      at: new Date(NOW.getTime() - one.hoursAgo * 3_600_000),
      ancestors: type === "full" || parent === undefined ? [] : [...parent.ancestors, parent.id],
      state: one.corrupt ? "complete_with_corruption" : "complete",
      pinned: one.pinned,
      held: one.held,
    });
  }
  return built;
}

const input: fc.Arbitrary<ExpiryInput> = fc.record({ backups: fc.array(seed, { maxLength: 40 }).map(build), rules, now: fc.constant(NOW) });

function keptIds(decisions: readonly ExpiryDecision[]): Set<string> {
  return new Set(decisions.filter(({ keep }) => keep).map(({ id }) => id));
}

test("retention never orphans: every ancestor of a kept backup is kept, and says for whom", () => {
  fc.assert(
    fc.property(input, (given) => {
      const decisions = planExpiry(given);
      const kept = keptIds(decisions);
      for (const backup of given.backups) {
        if (!kept.has(backup.id)) continue;
        for (const ancestor of backup.ancestors) {
          expect(kept.has(ancestor)).toBe(true);
          expect(decisions.find(({ id }) => id === ancestor)?.heldBy).toContain(backup.id);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("planning again on what was kept keeps all of it", () => {
  fc.assert(
    fc.property(input, (given) => {
      const kept = keptIds(planExpiry(given));
      const again = planExpiry({ ...given, backups: given.backups.filter(({ id }) => kept.has(id)) });
      expect(again.every(({ keep }) => keep)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("a source that had a restorable full has one afterwards, and it is the newest", () => {
  fc.assert(
    fc.property(input, (given) => {
      const kept = keptIds(planExpiry(given));
      const newest = given.backups.findLast(({ type, state }) => type === "full" && state === "complete");
      expect(newest === undefined || kept.has(newest.id)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("a backup stays until its expiry and is gone at it, if nothing else changes", () => {
  fc.assert(
    fc.property(input, (given) => {
      for (const { id, expiresAt } of planExpiry(given).slice(0, 5)) {
        if (expiresAt === null) continue;
        expect(expiresAt > NOW).toBe(true);
        expect(keptIds(planExpiry({ ...given, now: new Date(expiresAt.getTime() - 1) })).has(id)).toBe(true);
        expect(keptIds(planExpiry({ ...given, now: expiresAt })).has(id)).toBe(false);
      }
    }),
    { numRuns: 200 },
  );
});

test("the order of the backups does not matter", () => {
  fc.assert(
    fc.property(input, (given) => {
      const byId = (decisions: readonly ExpiryDecision[]): ExpiryDecision[] => decisions.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      expect(byId(planExpiry({ ...given, backups: given.backups.toReversed() }))).toEqual(byId(planExpiry(given)));
    }),
    { numRuns: 100 },
  );
});

test("the planner agrees with a slow and obvious one", () => {
  fc.assert(
    fc.property(input, (given) => {
      const decisions = planExpiry(given);
      const own = given.backups.filter((backup) => wantedItself(backup, given)).map(({ id }) => id);
      expect(decisions.filter(({ recoveryPoint }) => recoveryPoint).map(({ id }) => id)).toEqual(own);
      expect([...keptIds(decisions)]).toEqual(keptSlowly(given));
      for (const decision of decisions) expect(decision.reasons.length).toBeGreaterThan(0);
    }),
    { numRuns: 300 },
  );
});

/** Asks of one backup at a time whether anything wants it, by counting what is newer. */
function wantedItself(backup: RetainedBackup, { backups, rules: all, now }: ExpiryInput): boolean {
  const clean = ({ state }: RetainedBackup): boolean => state === "complete";
  const newer = (other: RetainedBackup): boolean => other.at > backup.at || (other.at.getTime() === backup.at.getTime() && other.id > backup.id);
  if (backup.pinned === true || backup.held === true) return true;
  const fulls = backups.filter(({ type }) => type === "full");
  if (backup.type === "full" && !fulls.some((other) => newer(other) && clean(other)) && (clean(backup) || !fulls.some((other) => newer(other) || clean(other)))) return true;
  const wanted = all.get(backup.type);
  if (wanted === undefined) return true;
  if (wanted.keepForSeconds !== null && now.getTime() - backup.at.getTime() < wanted.keepForSeconds * 1000) return true;
  if (!clean(backup)) return false;
  const newerOnes = backups.filter((other) => other.type === backup.type && clean(other) && newer(other));
  if (wanted.keepLast !== null && newerOnes.length < wanted.keepLast) return true;
  const periods: readonly (readonly [number | null, (at: Date) => number])[] = [
    [wanted.daily, (at) => Math.floor(at.getTime() / DAY_MS)],
    [wanted.weekly, (at) => Math.floor((at.getTime() / DAY_MS + 3) / 7)],
    [wanted.monthly, (at) => at.getUTCFullYear() * 12 + at.getUTCMonth()],
    [wanted.yearly, (at) => at.getUTCFullYear()],
  ];
  return periods.some(([limit, period]) => {
    const later = new Set(newerOnes.map((other) => period(other.at)));
    return limit !== null && !later.has(period(backup.at)) && later.size < limit;
  });
}

/** Adds ancestors until nothing changes. */
function keptSlowly(given: ExpiryInput): string[] {
  const kept = new Set(given.backups.filter((backup) => wantedItself(backup, given)).map(({ id }) => id));
  for (let size = -1; size !== kept.size;) {
    size = kept.size;
    for (const backup of given.backups) if (given.backups.some((other) => kept.has(other.id) && other.ancestors.includes(backup.id))) kept.add(backup.id);
  }
  return given.backups.filter(({ id }) => kept.has(id)).map(({ id }) => id);
}
