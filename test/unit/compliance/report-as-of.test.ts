import { expect, test } from "vitest";
import { buildReport } from "../../../src/compliance/report.ts";
import type { ComplianceReport, CopyExposure } from "../../../src/domain/compliance.ts";
import { iso, loadTestInventory, openHistory } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();
const [from, to] = [new Date(iso("2026-11-01 00:00")), new Date(iso("2026-11-02 00:00"))];
const then = new Date(iso("2026-11-02 06:00"));

/** What happened on a day, and what was put on record about it by the next morning. */
function live(history: History): void {
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00", slot: "2026-11-01 02:00" });
  history.drilled("2026-11-01 04:00");
}

function observe(history: History): void {
  history.observed({ from: "2026-10-31 23:59", to: "2026-11-02 00:00", seconds: () => 2 });
}

function restate(history: History): void {
  const gap = { repository: "onsite", timeline: 1, startLsn: "0/5000000", endLsn: "0/6000000" };
  history.entry("exposure.restated", "2026-11-03 09:00", { source: "orders", ...gap, from: iso("2026-11-01 10:00"), until: iso("2026-11-01 14:00"), reason: "missing" });
}

function report(history: History, now: Date, record: History | null = null): ComplianceReport {
  const asOf = record === null ? null : { at: then, record: record.catalog };
  return buildReport({ catalog: history.catalog, inventory, from, to, now, sources: ["orders"], evidenceHead: null, asOf });
}

const onsite = (of: ComplianceReport): CopyExposure | undefined => of.sources[0]?.exposure.find(({ repository }) => repository === "onsite");

test("a gap that is found later restates: what was known then is still told, and now what is known now", async () => {
  await using history = await openHistory();
  await using atThatTime = await openHistory();
  for (const each of [history, atThatTime]) live(each);
  observe(history);
  const before = report(history, then);
  restate(history);
  history.drilled("2026-11-01 23:00", { verdict: "fail" }, {});
  const later = new Date(iso("2026-11-04 00:00"));
  const [known, asKnownThen] = [report(history, later), report(history, later, atThatTime)];
  expect(onsite(before)).toMatchObject({ verdict: "held", breaches: [], restatements: [] });
  expect(onsite(known)).toMatchObject({
    verdict: "breached",
    breaches: [{ to: iso("2026-11-01 14:00"), end: "recovered" }],
    restatements: [{ from: iso("2026-11-01 10:00"), until: iso("2026-11-01 14:00"), knownAt: iso("2026-11-03 09:00") }],
  });
  expect(Math.abs((onsite(known)?.worst?.seconds ?? 0) - 4 * 3600)).toBeLessThanOrEqual(15);
  expect(known.findings.map(({ kind }) => kind)).toContain("exposure_restated");
  expect(onsite(asKnownThen)).toEqual(onsite(before));
  expect(asKnownThen.population.drills).toEqual(before.population.drills);
  expect(asKnownThen.cover).toMatchObject({ asOf: then.toISOString(), generatedAt: later.toISOString() });
  expect(asKnownThen.limits.length).toBeGreaterThan(known.limits.length);
});

test("what was measured after the time is not in a report as of it", async () => {
  await using history = await openHistory();
  await using atThatTime = await openHistory();
  live(atThatTime);
  history.observed({ from: "2026-11-01 00:00", to: "2026-11-03 00:00", seconds: (at) => (at > then ? 5000 : 2) });
  const wide = buildReport({
    catalog: history.catalog,
    inventory,
    from,
    to: new Date(iso("2026-11-03 00:00")),
    now: new Date(iso("2026-11-04 00:00")),
    sources: ["orders"],
    evidenceHead: null,
    asOf: { at: then, record: atThatTime.catalog },
  });
  expect(wide.cover.measuredUntil).toBe(then.toISOString());
  expect(onsite(wide)?.worst?.seconds).toBe(2);
});
