import { expect, test } from "vitest";
import { assessSource } from "../../../src/domain/alert-conditions.ts";
import type { AlertCondition, CopyFact, RunFact, SourceAlertFacts, SystemAlertFacts } from "../../../src/domain/alert-facts.ts";
import { ALERT_KINDS } from "../../../src/domain/alert-kinds.ts";
import type { AlertKind } from "../../../src/domain/alert-kinds.ts";
import { assessAll, assessSystem } from "../../../src/domain/alert-system-conditions.ts";

const NOW = new Date("2026-11-27T12:00:00.000Z");
const ago = (seconds: number): string => new Date(NOW.getTime() - seconds * 1000).toISOString();
const DAY = 86_400;

const COPY: CopyFact = { repository: "onsite", sight: "observed", objectiveApplies: true, exposureSeconds: 2, gaps: 0 };
const BACKUP = { id: "20261127T020000Z-full", type: "full", startedAt: ago(36_000), corruptPages: 0, unusualSize: null, damagedIn: [] };
const RUN: RunFact = { operation: "backup", type: "full", outcome: "succeeded", reason: null, endedAt: ago(35_000), notIn: [], damage: new Map(), failedHooks: [] };
const DRILL = { verdict: "pass", rtoActualSeconds: 60, reason: null, endedAt: ago(3000), attempt: 1, nextTryAt: null };
const FINE: SourceAlertFacts = {
  name: "orders",
  objectives: { rtoSeconds: 900, rpoSeconds: 300 },
  seenAt: ago(5),
  backups: [BACKUP],
  copies: [COPY],
  lastRuns: [RUN],
  missed: [],
  lastDrill: DRILL,
  unprovenSince: null,
  commits: { waitForUs: false, streaming: false },
  walLostAt: null,
};
const QUIET: SystemAlertFacts = { schedulerOnTime: true, configurationProblem: null, findings: [], expiring: [], capacity: [], locks: [], access: [], channels: [], evidence: [] };

/** All that is wrong where one thing is other than it should be. */
function found(source: Partial<SourceAlertFacts>, system: Partial<SystemAlertFacts> = {}): readonly AlertCondition[] {
  const facts = { ...FINE, ...source };
  return assessAll([{ copies: facts.copies, assessment: assessSource(facts, NOW) }], assessSystem({ ...QUIET, ...system }, NOW)).conditions;
}

const finding = { place: "critical.yaml:7", message: "too slow", sources: ["orders"] };
const refusals = (count: number): SystemAlertFacts["access"] =>
  Array.from({ length: count }, (_, i) => ({ at: ago(60 + i), kind: "refused" as const, text: "10.0.0.1 without a token", count: 1 }));

/** For every kind what makes it, and it alone. */
const WRONG: Readonly<Record<AlertKind, readonly [source: Partial<SourceAlertFacts>, system?: Partial<SystemAlertFacts>]>> = {
  wal_gap: [{ copies: [{ ...COPY, gaps: 2 }] }],
  wal_lost: [{ walLostAt: ago(10) }],
  commits_wait: [{ commits: { waitForUs: true, streaming: false } }],
  backup_damaged: [{ backups: [{ ...BACKUP, damagedIn: ["onsite"] }] }],
  repository_damaged: [{ lastRuns: [{ ...RUN, operation: "verify", type: null, outcome: "failed", damage: new Map([["onsite", 3]]) }] }],
  source_corrupt: [{ backups: [{ ...BACKUP, corruptPages: 4 }] }],
  backup_size_unusual: [{ backups: [{ ...BACKUP, unusualSize: "it takes 1 bytes" }] }],
  scheduler_stopped: [{}, { schedulerOnTime: false }],
  configuration_not_taken_up: [{}, { configurationProblem: "p.yaml:5: no duration" }],
  rpo_breached: [{ copies: [{ ...COPY, exposureSeconds: 301 }] }],
  rto_breached: [{ lastDrill: { ...DRILL, rtoActualSeconds: 901 } }],
  no_backup: [{ backups: [], copies: [{ ...COPY, sight: "absent", exposureSeconds: null }] }],
  run_failed: [{ lastRuns: [{ ...RUN, outcome: "failed", reason: "HF-CONNECT: no" }] }],
  copy_failed: [{ lastRuns: [{ ...RUN, outcome: "failed", notIn: ["cloud"] }] }],
  drill_failed: [{ lastDrill: { ...DRILL, verdict: "fail" } }],
  source_unreachable: [{ copies: [{ ...COPY, sight: "server_unknown", exposureSeconds: null }] }],
  copy_unobserved: [{ copies: [{ ...COPY, exposureSeconds: null }] }],
  repository_unreachable: [{ copies: [{ ...COPY, sight: "unseen", exposureSeconds: null }] }],
  observation_stale: [{ seenAt: ago(241) }],
  repository_nearly_full: [{}, { capacity: [{ repository: "onsite", freeBytes: 1e12, fullAt: ago(-DAY) }] }],
  locks_not_renewed: [{}, { locks: [{ source: "orders", repository: "cloud", since: ago(30 * DAY), renewedAt: ago(DAY), marginSeconds: 2 * DAY }] }],
  repository_filling: [{}, { capacity: [{ repository: "onsite", freeBytes: 1e12, fullAt: ago(-14 * DAY) }] }],
  evidence_diverged: [{}, { evidence: [{ route: "second", failingSince: ago(20), error: "another entry lies there", diverged: true }] }],
  evidence_behind: [{}, { evidence: [{ route: "second", failingSince: ago(20), error: "no connection", diverged: false }] }],
  evidence_unstamped: [{}, { evidence: [{ route: "timestamps", failingSince: ago(20), error: "no connection", diverged: false }] }],
  channel_failed: [{}, { channels: [{ name: "oncall", failingSince: ago(20), error: "refused" }] }],
  many_refused: [{}, { access: refusals(10) }],
  expired: [{}, { expiring: [{ what: "token ci", expiresAt: ago(1) }] }],
  rpo_near: [{ copies: [{ ...COPY, exposureSeconds: 240 }] }],
  rto_near: [{ lastDrill: { ...DRILL, rtoActualSeconds: 720 } }],
  drill_inconclusive: [{ lastDrill: { ...DRILL, verdict: "inconclusive", rtoActualSeconds: null } }],
  never_proven: [{ unprovenSince: ago(DAY) }],
  runs_missed: [{ missed: [{ operation: "backup", type: "full", slots: 2, slot: ago(7200) }] }],
  hook_failed: [{ lastRuns: [{ ...RUN, failedHooks: ["afterBackup: exit code 1"] }] }],
  policy_infeasible: [{}, { findings: [{ severity: "infeasible", ...finding }] }],
  refused: [{}, { access: refusals(1) }],
  expires_within_7_days: [{}, { expiring: [{ what: "token ci", expiresAt: ago(-7 * DAY) }] }],
  policy_warning: [{}, { findings: [{ severity: "warning", ...finding }] }],
  access_changed: [{}, { access: [{ at: ago(60), kind: "changed", text: "admin made the token ci", count: 1 }] }],
  expires_within_30_days: [{}, { expiring: [{ what: "token ci", expiresAt: ago(-30 * DAY) }] }],
};
/** Many refused calls are refused calls too. */
const BESIDE: Partial<Record<AlertKind, AlertKind>> = { many_refused: "refused" };

test("where nothing is wrong there is no alert", () => {
  expect(found({})).toEqual([]);
});

test.each(Object.entries(WRONG))("%s is raised by what it says, and nothing else is", (kind, [source, system]) => {
  const expected = [kind, BESIDE[kind as AlertKind]].filter((one) => one !== undefined).toSorted();
  const conditions = found(source, system);
  expect(conditions.map((one) => one.kind).toSorted()).toEqual(expected);
  const condition = conditions.find((one) => one.kind === kind);
  expect(condition?.severity).toBe(ALERT_KINDS[kind as AlertKind].severity);
  expect(condition?.whatToDo).not.toContain("SOURCE");
  if (condition?.repository !== null) expect(condition?.whatToDo).not.toContain("NAME");
});

test("severities are those of the mission: data loss P1, a failed job P2, 80 % of an objective P3, for information P4", () => {
  const severities = Object.fromEntries(
    ["wal_gap", "backup_damaged", "repository_damaged", "run_failed", "rpo_near", "policy_warning"].map((kind) => [kind, ALERT_KINDS[kind as AlertKind].severity]),
  );
  expect(severities).toEqual({ wal_gap: "P1", backup_damaged: "P1", repository_damaged: "P1", run_failed: "P2", rpo_near: "P3", policy_warning: "P4" });
});

test.each([
  ["exposure", { copies: [{ ...COPY, exposureSeconds: null }] }, ["rpo_breached/orders/onsite", "rpo_near/orders/onsite"]],
  [
    "a repository that cannot be read",
    { copies: [{ ...COPY, sight: "unseen" as const, exposureSeconds: null }] },
    ["backup_damaged/orders/onsite", "rpo_breached/orders/onsite", "rpo_near/orders/onsite", "wal_gap/orders/onsite"],
  ],
  [
    "a drill that came to no result",
    { lastDrill: { ...DRILL, verdict: "inconclusive" as const, rtoActualSeconds: null } },
    ["drill_failed/orders", "rto_breached/orders", "rto_near/orders"],
  ],
  [
    "a drill that is about to be tried again",
    { lastDrill: { ...DRILL, verdict: "inconclusive" as const, rtoActualSeconds: null, nextTryAt: ago(-60) } },
    ["drill_failed/orders", "drill_inconclusive/orders", "rto_breached/orders", "rto_near/orders"],
  ],
])("what depends on %s is undecided while that is not known, and never over", (_, source, keys) => {
  expect([...assessSource({ ...FINE, ...source }, NOW).undecided].toSorted()).toEqual(keys);
});

test("a repository that others can read is not unreachable: it is the copy of one source that is not seen", () => {
  const of = (name: string, sight: CopyFact["sight"]): SourceAlertFacts => ({ ...FINE, name, copies: [{ ...COPY, sight, exposureSeconds: sight === "unseen" ? null : 1 }] });
  const judged = [of("a", "observed"), of("b", "unseen")].map((facts) => ({ copies: facts.copies, assessment: assessSource(facts, NOW) }));
  expect(assessAll(judged, assessSystem(QUIET, NOW)).conditions.map(({ key }) => key)).toEqual(["copy_unobserved/b/onsite"]);
});

test("a thousand sources whose repository is away are one alert", () => {
  const judged = Array.from({ length: 1000 }, (_, i) => ({ ...FINE, name: `s${i}`, copies: [{ ...COPY, sight: "unseen" as const, exposureSeconds: null }] })).map((facts) => ({
    copies: facts.copies,
    assessment: assessSource(facts, NOW),
  }));
  expect(assessAll(judged, assessSystem(QUIET, NOW)).conditions.map(({ key }) => key)).toEqual(["repository_unreachable//onsite"]);
});

test("no backup is not said where a repository that may hold one could not be read", () => {
  expect(found({ backups: [], copies: [{ ...COPY, sight: "unseen", exposureSeconds: null }] }).map(({ kind }) => kind)).toEqual(["repository_unreachable"]);
});

test.each([
  ["the stream runs and stores", { waitForUs: true, streaming: true }, 19, []],
  ["the stream is away", { waitForUs: true, streaming: false }, 0, ["commits_wait/orders: the stream is not connected"]],
  ["it is there and its repository is not", { waitForUs: true, streaming: true }, 21, ["commits_wait/orders: the stream runs and cannot store what it gets"]],
  ["another standby can stand in for it", { waitForUs: false, streaming: false }, 21, []],
] as const)("commits that wait for us where %s", (_, commits, exposureSeconds, expected) => {
  expect(
    found({
      commits,
      copies: [
        { ...COPY, exposureSeconds },
        { ...COPY, repository: "cloud", exposureSeconds: 50 },
      ],
    }).map(({ key, detail }) => `${key}: ${detail}`),
  ).toEqual(expected);
});

test("whether commits hang is undecided while the server does not answer", () => {
  expect([...assessSource({ ...FINE, commits: null }, NOW).undecided]).toEqual(["commits_wait/orders"]);
});

test.each([
  ["renewed this morning", ago(DAY - 60), []],
  ["renewed half of the margin ago", ago(DAY), ["last at 2026-11-26T12:00:00.000Z; from 2026-11-28T12:00:00.000Z on some may end too soon"]],
  ["never renewed, with backups since a week", null, ["never; from 2026-11-22T12:00:00.000Z on some may end too soon"]],
])("locks that were %s", (_, renewedAt, details) => {
  const locks = [{ source: "orders", repository: "cloud", since: ago(7 * DAY), renewedAt, marginSeconds: 2 * DAY }];
  expect(found({}, { locks }).map(({ detail }) => detail)).toEqual(details);
});

test("WAL that was lost is made good by the next backup that begins after it", () => {
  expect(found({ walLostAt: ago(40_000) })).toEqual([]);
});
