import { expect, test } from "vitest";
import { buildReport } from "../../../src/compliance/report.ts";
import type { ComplianceReport, SourceReport } from "../../../src/domain/compliance.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT, VERIFY_FIGURES, WRITER } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();

/** One week, Sunday to Sunday, seen from an hour after it. */
const WEEK = { from: "2026-11-01 00:00", to: "2026-11-08 00:00", now: "2026-11-08 01:00" };

function report(history: History, { from, to, now } = WEEK, more: Partial<Parameters<typeof buildReport>[0]> = {}): ComplianceReport {
  const [fromDate, toDate, nowDate] = [from, to, now].map((text) => new Date(iso(text))) as [Date, Date, Date];
  return buildReport({ catalog: history.catalog, inventory, from: fromDate, to: toDate, now: nowDate, sources: ["orders"], evidenceHead: null, ...more });
}

function orders(of: ComplianceReport): SourceReport {
  const source = of.sources.find(({ name }) => name === "orders");
  if (source === undefined) throw new Error("no orders in the report");
  return source;
}

const incremental = (source: SourceReport): SourceReport["backups"][number] | undefined => source.backups.find(({ type }) => type === "incremental");
const statusOf = (of: ComplianceReport, control: string): string | undefined => of.controls.find((candidate) => candidate.control === control)?.status;

test("an empty catalog evidences nothing, and no figure is made up", async () => {
  await using history = await openHistory();
  const empty = report(history);
  expect(new Set(empty.controls.map(({ status }) => status))).toEqual(new Set(["not_evidenced"]));
  expect(orders(empty)).toMatchObject({
    status: "not_evidenced",
    recoveryPoint: "not_evidenced",
    systemIdentifier: null,
    gaps: null,
    seenAt: null,
    recoveryTime: { verdict: "not_evidenced", lastSeconds: null, maxSeconds: null, actual: [] },
  });
  expect(orders(empty).verification).toEqual({ runs: [], copies: [], neverVerified: null, pieces: [] });
  expect(orders(empty).drills).toMatchObject({ due: 0, run: 0, last: null, failureProbabilityUpperBound95: null, unaccounted: null });
  expect(orders(empty).exposure.map(({ worst, unobservedShare }) => ({ worst, unobservedShare }))).toEqual([
    { worst: null, unobservedShare: 1 },
    { worst: null, unobservedShare: 1 },
  ]);
  expect(empty.findings.map(({ kind }) => kind)).toEqual(["exposure_unobserved", "exposure_unobserved", "no_drill", "copy_never_verified"]);
  expect(empty.findings.every(({ severity }) => severity === "missing_evidence")).toBe(true);
});

test("zero drills are not evidenced, also beside good backups", async () => {
  await using history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00" });
  const without = report(history);
  expect([statusOf(without, "A1.3"), statusOf(without, "CP-4"), statusOf(without, "Art. 11(6)")]).toEqual(["not_evidenced", "not_evidenced", "not_evidenced"]);
  expect(without.findings.map(({ kind }) => kind)).toContain("no_drill");
});

test("inconclusive and missed drills are counted by themselves, and evidence nothing", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-02 04:00:05", { verdict: "inconclusive", fault: "environment", rtoActualSeconds: 100 }, { slot: "2026-11-02 04:00" });
  history.passedOver({ operation: "drill", slot: "2026-11-03 04:00" });
  history.ran({ operation: "drill", at: "2026-11-04 04:00:05", outcome: "cancelled", reason: "HF-INTERRUPTED: stopped" });
  const source = orders(report(history));
  expect(source.drills).toMatchObject({ due: 2, run: 0, inconclusive: 1, missed: 1, withoutVerdict: 1, last: null, failureProbabilityUpperBound95: null });
  expect(source.recoveryTime).toMatchObject({ verdict: "not_evidenced", maxSeconds: null, actual: [] });
  expect(source.rules.find(({ rule }) => rule === "recovery_tested")).toMatchObject({ status: "not_evidenced", rows: 0 });
});

test("clean drills bound the failure probability; one failure leaves counts and no bound", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-02 04:00:00", { rtoActualSeconds: 400 });
  history.drilled("2026-11-03 04:00:00", { rtoActualSeconds: 500, verdict: "pass_with_warnings" });
  const clean = orders(report(history));
  expect(clean.drills).toMatchObject({ run: 2, passed: 2, passedWithWarnings: 1, failed: 0 });
  expect(clean.drills.failureProbabilityUpperBound95).toBeCloseTo(0.776, 3);
  expect(clean.recoveryTime).toMatchObject({ verdict: "held", lastSeconds: 500, maxSeconds: 500 });
  history.drilled("2026-11-04 04:00:00", { verdict: "fail", fault: "backup", rtoActualSeconds: 300 });
  expect(orders(report(history)).drills).toMatchObject({ run: 3, passed: 2, failed: 1, failureProbabilityUpperBound95: null, last: { verdict: "fail" } });
});

test("a failed drill stands until one passes, even after the period", async () => {
  await using history = await openHistory();
  const failed = history.drilled("2026-11-04 04:00:00", { verdict: "fail", fault: "backup", rtoActualSeconds: 300 });
  const before = report(history);
  expect(orders(before).drills.withoutLaterPass).toEqual([failed]);
  expect(before.findings).toContainEqual(expect.objectContaining({ severity: "deficiency", kind: "drill_failed", references: [failed] }));
  expect(statusOf(before, "CC7.5")).toBe("deficient");
  history.drilled("2026-11-09 04:00:00");
  const after = report(history, { ...WEEK, now: "2026-11-10 00:00" });
  expect(after.findings.map(({ kind }) => kind)).not.toContain("drill_failed");
  expect(orders(after).rules.find(({ rule }) => rule === "recovery_tested")).toMatchObject({ status: "effective_with_exceptions", rows: 1 });
});

test("recovery time is measured against the objective of its day", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-02 04:00:00", { rtoActualSeconds: 1000, rtoObjectiveSeconds: 900, verdict: "fail" });
  history.drilled("2026-11-03 04:00:00", { rtoActualSeconds: 850, rtoObjectiveSeconds: 900 });
  const late = report(history);
  expect(orders(late).recoveryTime).toMatchObject({ verdict: "breached", maxSeconds: 1000, lastSeconds: 850 });
  expect(late.findings).toContainEqual(expect.objectContaining({ severity: "exception", kind: "recovery_time_breach" }));
});

test("an interval of five slots that were missed together counts five", async () => {
  await using history = await openHistory();
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-02 02:00", until: "2026-11-06 02:00", slots: 5, at: "2026-11-07 02:00:00" });
  const missed = report(history);
  expect(incremental(orders(missed))).toMatchObject({ due: 5, missed: 5, succeeded: 0 });
  expect(missed.population.runs).toMatchObject([{ outcome: "missed", slots: 5, until: "2026-11-06T02:00:00.000Z", durationSeconds: null }]);
  expect(missed.findings).toContainEqual(expect.objectContaining({ kind: "no_success_since", severity: "deficiency" }));
});

test("an interval that reaches over the end of the period is divided by the schedule", async () => {
  await using history = await openHistory();
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-05 02:00", until: "2026-11-10 02:00", slots: 6, at: "2026-11-11 02:00:00" });
  expect(incremental(orders(report(history, { ...WEEK, now: "2026-11-12 00:00" })))).toMatchObject({ due: 3, missed: 3 });
  expect(incremental(orders(report(history, { from: "2026-11-08 00:00", to: "2026-11-15 00:00", now: "2026-11-15 01:00" })))).toMatchObject({ missed: 3 });
});

test("an interval that the schedule of today does not explain counts as a whole", async () => {
  await using history = await openHistory();
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-07 02:00", until: "2026-11-08 02:00", slots: 5, at: "2026-11-08 06:00" });
  expect(incremental(orders(report(history)))).toMatchObject({ missed: 5 });
});

test("a missed slot belongs to its time, not to when it was written down", async () => {
  await using history = await openHistory();
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-07 02:00", at: "2026-11-09 09:00" });
  expect(incremental(orders(report(history, { ...WEEK, now: "2026-11-10 00:00" })))).toMatchObject({ missed: 1 });
});

test("superseded slots are due, and done", async () => {
  await using history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00" });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-01 02:00", outcome: "superseded" });
  const source = orders(report(history, { ...WEEK, to: "2026-11-02 00:00", now: "2026-11-02 00:00" }));
  expect(incremental(source)).toMatchObject({ due: 1, superseded: 1, missed: 0, withoutLaterSuccess: [] });
  expect(source.rules.find(({ rule }) => rule === "backups_operated")).toMatchObject({ status: "effective" });
});

test("two tries for one slot are one slot due, and a success makes the failure good", async () => {
  await using history = await openHistory();
  history.ran({ operation: "backup", type: "incremental", at: "2026-11-02 02:00:01", slot: "2026-11-02 02:00", outcome: "failed", reason: "HF-CONNECT: refused" });
  history.ran({ operation: "backup", type: "incremental", at: "2026-11-02 02:05:00", slot: "2026-11-02 02:00" });
  history.ran({ operation: "backup", type: "incremental", at: "2026-11-02 09:00:00" });
  expect(incremental(orders(report(history, { ...WEEK, to: "2026-11-03 00:00", now: "2026-11-03 00:00" })))).toMatchObject({
    due: 1,
    succeeded: 2,
    failed: 1,
    unscheduled: 1,
    withoutLaterSuccess: [],
  });
});

test("a stronger backup makes a weaker one good, and a weaker one no stronger one", async () => {
  await using history = await openHistory();
  const failed = history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00", outcome: "interrupted" });
  history.ran({ operation: "backup", type: "incremental", at: "2026-11-02 02:00:01", slot: "2026-11-02 02:00", outcome: "failed" });
  history.ran({ operation: "backup", type: "incremental", at: "2026-11-03 02:00:01", slot: "2026-11-03 02:00" });
  const weak = orders(report(history));
  expect(weak.backups.map(({ type, withoutLaterSuccess }) => [type, withoutLaterSuccess])).toEqual([
    ["full", [failed]],
    ["incremental", []],
  ]);
  history.ran({ operation: "backup", type: "full", at: "2026-11-05 02:00:01" });
  expect(orders(report(history)).backups[0]).toMatchObject({ interrupted: 1, withoutLaterSuccess: [] });
});

test("slots after the last one on record that nothing accounts for are a finding: the scheduler had stopped", async () => {
  await using history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00" });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-01 02:00", outcome: "superseded" });
  const stopped = report(history, { ...WEEK, now: "2026-11-20 00:00" });
  expect(incremental(orders(stopped))?.unaccounted).toBe(6);
  expect(stopped.findings).toContainEqual(
    expect.objectContaining({
      kind: "slots_unaccounted",
      severity: "deficiency",
      detail: "nothing accounts for the last 6 slots of incremental backup: no run, and no record of a miss",
    }),
  );
  // Work that is a few hours late may be waiting for other work: that is not missing yet.
  expect(incremental(orders(report(history, { ...WEEK, now: "2026-11-02 12:00" })))?.unaccounted).toBe(0);
});

test("exposure is judged by time, and an end of the period that lies ahead is not counted as unobserved", async () => {
  await using history = await openHistory();
  history.observed({ repository: "onsite", from: "2026-11-01 00:00", to: "2026-11-01 12:00", seconds: () => 5 });
  history.observed({ repository: "cloud", from: "2026-11-01 00:00", to: "2026-11-01 12:00", seconds: (at) => (at.getUTCHours() === 3 ? 400 : 20) });
  const running = report(history, { ...WEEK, now: "2026-11-01 12:00" });
  expect(running.cover).toMatchObject({ measuredUntil: "2026-11-01T12:00:00.000Z", period: { to: "2026-11-08T00:00:00.000Z" } });
  const [onsite, cloud] = orders(running).exposure;
  expect(onsite).toMatchObject({ repository: "onsite", verdict: "held", withinObjectiveShare: 1, unobservedShare: 0, breaches: [] });
  expect(cloud).toMatchObject({
    verdict: "breached",
    beyondObjectiveShare: 1 / 12,
    worst: { seconds: 400, at: "2026-11-01T03:00:00.000Z" },
    breaches: [{ peakSeconds: 400, end: "recovered" }],
  });
  expect(orders(running).recoveryPoint).toBe("breached");
  expect(running.findings).toContainEqual(expect.objectContaining({ kind: "recovery_point_breach", repository: "cloud", severity: "exception" }));
});

test("a period that was mostly unobserved is not held, however good the rest looks", async () => {
  await using history = await openHistory();
  for (const repository of ["onsite", "cloud"]) history.observed({ repository, from: "2026-11-01 00:00", to: "2026-11-03 00:00", everySeconds: 60, seconds: () => 1 });
  const dark = orders(report(history));
  expect(dark.recoveryPoint).toBe("not_evidenced");
  expect(dark.rules.find(({ rule }) => rule === "recovery_point_held")).toMatchObject({
    status: "not_evidenced",
    reason: "exposure of onsite, cloud was unobserved for more than 10 % of the time",
  });
});

test("copies that nobody verified are named, and verified ones carry their result", async () => {
  await using history = await openHistory();
  const [first] = SNAPSHOT.backups;
  history.seen("2026-11-07 23:00", { backups: first === undefined ? [] : [first, { ...first, id: "20261107T020000Z-incr", type: "incremental" }] });
  const verified = ["onsite", "cloud"].map((repository) => ({ repository, source: "orders", backup: "20261101T020000Z-full", tier: "decoded", ok: true }));
  history.ran({ operation: "verify", at: "2026-11-02 03:00:01", slot: "2026-11-02 03:00", figures: VERIFY_FIGURES, verified });
  const { verification, rules } = orders(report(history));
  expect(verification.runs).toMatchObject([{ ok: true, tier: "decoded", repositories: ["onsite", "cloud"], objects: 412, damaged: 0 }]);
  expect(verification.copies).toMatchObject([
    { repository: "cloud", ok: true, present: true },
    { repository: "onsite", ok: true, present: true },
  ]);
  expect(verification.neverVerified).toEqual([
    { repository: "onsite", backup: "20261107T020000Z-incr" },
    { repository: "cloud", backup: "20261107T020000Z-incr" },
  ]);
  expect(rules.find(({ rule }) => rule === "copies_verified")).toMatchObject({ status: "effective_with_exceptions", rows: 1 });
  expect(rules.find(({ rule }) => rule === "encryption_exercised")).toMatchObject({ status: "effective", rows: 1 });
});

test("damage stands while the copy is there, and also where nobody can look", async () => {
  await using history = await openHistory();
  const damaged = [{ repository: "cloud", source: "orders", backup: "20261101T020000Z-full", tier: "decoded", ok: false }];
  history.ran({
    operation: "verify",
    at: "2026-11-02 03:00:01",
    outcome: "failed",
    reason: "1 objects are damaged or missing",
    figures: { ...VERIFY_FIGURES, ok: false, damage: [{ object: "x" }] },
    verified: damaged,
  });
  const standing = (): string[] =>
    report(history)
      .findings.filter(({ kind }) => kind === "damage_found")
      .flatMap(({ references }) => references);
  history.seen("2026-11-07 23:00");
  expect(standing()).toEqual(["20261101T020000Z-full"]);
  history.seen("2026-11-07 23:10", { backups: [], windows: SNAPSHOT.windows.filter(({ repository }) => repository === "onsite") });
  expect(standing()).toEqual(["20261101T020000Z-full"]);
  history.seen("2026-11-07 23:20", { backups: [] });
  expect(standing()).toEqual([]);
});

test("a gap in the WAL is a deficiency", async () => {
  await using history = await openHistory();
  history.seen("2026-11-07 23:00", {
    gaps: [{ repository: "onsite", timeline: 1, startLsn: "0/6000000", endLsn: "0/7000000", firstSegment: "000000010000000000000006", lastSegment: "000000010000000000000006" }],
  });
  const gapped = report(history);
  expect(gapped.findings).toContainEqual(
    expect.objectContaining({ kind: "wal_gap", severity: "deficiency", repository: "onsite", detail: "1 gap in the WAL (timeline 1 from 0/6000000 to 0/7000000)" }),
  );
  expect(orders(gapped).rules.find(({ rule }) => rule === "copies_verified")).toMatchObject({ status: "deficient" });
});

test("the whole population is listed: runs of every outcome and slots that were passed over", async () => {
  await using history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00", figures: { id: "20261101T020001Z-full" } });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-01 02:00", outcome: "superseded" });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-02 02:00" });
  history.ran({ operation: "expire", at: "2026-11-02 03:00", outcome: "cancelled" });
  history.drilled("2026-11-03 04:00:00");
  history.began({ operation: "backup", type: "incremental", at: "2026-11-07 02:00:01", slot: "2026-11-07 02:00" });
  history.ran({ operation: "backup", type: "full", at: "2026-11-08 02:00:01", slot: "2026-11-08 02:00" });
  const { population } = report(history);
  expect(population.runs.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual([
    "backup superseded",
    "backup succeeded",
    "backup missed",
    "expire cancelled",
    "drill succeeded",
    "backup running",
  ]);
  expect(population.runs[1]).toMatchObject({ backupId: "20261101T020001Z-full", durationSeconds: 60, slots: 1 });
  expect(population.drills).toMatchObject([{ verdict: "pass", seed: "9b1c0de29b1c0de29b1c0de29b1c0de2", achievedLsn: "0/5000148" }]);
});

test("a drill entry of another version loses only what cannot be read", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-03 04:00:00", { rtoActualSeconds: "fast", checks: "all", phases: null, heartbeatOk: 1 });
  expect(report(history).population.drills).toMatchObject([{ verdict: "pass", rtoActualSeconds: null, checks: [], phases: [], heartbeatOk: null, repository: "onsite" }]);
});

test("figures that lack entries of the evidence log say so", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-03 04:00:00");
  const head = { writer: WRITER, sha256: "ab".repeat(32) };
  const whole = report(history, WEEK, { evidenceHead: { ...head, sequence: 2 } });
  expect(whole.cover.evidence).toEqual({ head: { ...head, sequence: 2 }, includedSequence: 2, complete: true });
  const behind = report(history, WEEK, { evidenceHead: { ...head, sequence: 5 } });
  expect(behind.cover.evidence).toMatchObject({ includedSequence: 2, complete: false });
  expect(behind.findings[0]).toMatchObject({ kind: "record_incomplete", severity: "missing_evidence", source: null });
});

test("the worst source decides, tiers are summed, and what is left out of scope is named", async () => {
  await using history = await openHistory();
  history.drilled("2026-11-03 04:00:00");
  const both = report(history, WEEK, { sources: null });
  expect(both.cover.scope).toEqual({ sources: ["orders", "wiki"], notIncluded: [] });
  expect(both.summary.map(({ tier, sources, drills }) => [tier, sources, drills.run])).toEqual([
    ["critical", 1, 1],
    ["standard", 1, 0],
  ]);
  expect([both.status, ...both.sources.map(({ status }) => status)]).toEqual(["deficient", "deficient", "not_evidenced"]);
  expect(report(history).cover.scope).toEqual({ sources: ["orders"], notIncluded: ["wiki"] });
});

test("history of twelve months is evidence for keeping it, and less is not", async () => {
  await using history = await openHistory();
  history.drilled("2025-11-09 04:00:00");
  history.drilled("2026-11-03 04:00:00");
  expect(statusOf(report(history), "10.5.1")).toBe("not_evidenced");
  expect(statusOf(report(history, { from: "2026-11-01 00:00", to: "2026-11-10 00:00", now: "2026-11-10 01:00" }), "10.5.1")).toBe("effective");
});

test("a period without length and an unknown source are refused", async () => {
  await using history = await openHistory();
  expect(() => report(history, { ...WEEK, to: WEEK.from })).toThrow(HoldfastError);
  expect(() => report(history, WEEK, { sources: ["nobody"] })).toThrow('there is no source "nobody"');
});
