import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { fillWeek, openApi } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";
import { parsePrometheusText } from "./prometheus-text.ts";
import type { MetricFamily } from "./prometheus-text.ts";
import { recordCapacity } from "../../../src/catalog/capacity.ts";
import { keepSummary } from "../../../src/compliance/source-summary.ts";
import { loadTestInventory } from "../compliance/recorded-history.ts";
import { NOT_RUN } from "../../support/not-run.ts";

async function scrape(fixture: ApiFixture): Promise<{ text: string; families: Map<string, MetricFamily> }> {
  const response = await fixture.api.inject("/metrics");
  expect([response.statusCode, response.headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  return { text: response.body, families: parsePrometheusText(response.body) };
}

function value(families: ReadonlyMap<string, MetricFamily>, name: string, labels: Record<string, string>): number | null {
  const family = families.get(name);
  if (family === undefined) throw new Error(`no metric ${name}`);
  const found = family.samples.filter((sample) => Object.entries(labels).every(([label, text]) => sample.labels[label] === text));
  if (found.length > 1) throw new Error(`${name} is there more than once`);
  return found[0]?.value ?? null;
}

const onsite = { source: "orders", repository: "onsite" };
const cloud = { source: "orders", repository: "cloud" };

test("the text is what Prometheus reads, strictly, under the names of the contract", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { families } = await scrape(fixture);
  expect([...families.keys()].toSorted()).toEqual([
    "holdfast_alerts",
    "holdfast_build_info",
    "holdfast_drill_last_pass_timestamp_seconds",
    "holdfast_drill_rto_seconds",
    "holdfast_exposure_bytes",
    "holdfast_exposure_seconds",
    "holdfast_last_success_timestamp_seconds",
    "holdfast_observed",
    "holdfast_recovery_window_end_timestamp_seconds",
    "holdfast_recovery_window_start_timestamp_seconds",
    "holdfast_repository_free_bytes",
    "holdfast_repository_full_timestamp_seconds",
    "holdfast_repository_used_bytes",
    "holdfast_rpo_objective_seconds",
    "holdfast_rto_objective_seconds",
    "holdfast_rto_predicted_seconds",
    "holdfast_running",
    "holdfast_runs_missed_total",
    "holdfast_runs_total",
    "holdfast_wal_gaps",
  ]);
  expect([...families.values()].filter(({ name, type }) => (type === "counter") !== name.endsWith("_total"))).toEqual([]);
});

test("unobserved exposure is absent, not zero", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { families } = await scrape(fixture);
  expect([value(families, "holdfast_observed", onsite), value(families, "holdfast_exposure_seconds", onsite), value(families, "holdfast_exposure_bytes", onsite)]).toEqual([
    1, 4.5, 18_432,
  ]);
  expect([value(families, "holdfast_observed", cloud), value(families, "holdfast_exposure_seconds", cloud), value(families, "holdfast_exposure_bytes", cloud)]).toEqual([
    0,
    null,
    null,
  ]);
  expect(value(families, "holdfast_observed", { source: "wiki", repository: "onsite" })).toBe(0);
});

test("an exposure of zero is a zero", async () => {
  await using fixture = await openApi();
  fixture.history.observed({ from: "2026-11-08 12:00", to: "2026-11-08 12:00:05", seconds: () => 0 });
  const { families } = await scrape(fixture);
  expect(value(families, "holdfast_exposure_seconds", onsite)).toBe(0);
});

test("an empty catalog has objectives and nothing that was never measured", async () => {
  await using fixture = await openApi();
  const { families } = await scrape(fixture);
  const withSamples = [...families.values()].filter(({ samples }) => samples.length > 0).map(({ name }) => name);
  expect(withSamples.toSorted()).toEqual(["holdfast_alerts", "holdfast_build_info", "holdfast_observed", "holdfast_rpo_objective_seconds", "holdfast_rto_objective_seconds"]);
  expect(value(families, "holdfast_rpo_objective_seconds", { source: "orders" })).toBe(300);
});

test("missed slots are counted one by one, and runs by how they ended", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  fixture.history.began({ operation: "backup", type: "full", at: "2026-11-08 12:00" });
  const { families } = await scrape(fixture);
  const backups = { source: "orders", operation: "backup" };
  expect(value(families, "holdfast_runs_missed_total", backups)).toBe(5);
  expect(["succeeded", "failed", "superseded", "missed", "running"].map((outcome) => value(families, "holdfast_runs_total", { ...backups, outcome }))).toEqual([
    1,
    1,
    1,
    null,
    null,
  ]);
});

test("a backup that reached one copy and not the other is a success of the first", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { families } = await scrape(fixture);
  const last = (labels: Record<string, string>): number | null => value(families, "holdfast_last_success_timestamp_seconds", labels);
  const at = (text: string): number => Date.parse(text) / 1000;
  expect(last({ ...onsite, operation: "backup", type: "full" })).toBe(at("2026-11-01T02:12:01Z"));
  expect(last({ ...onsite, operation: "backup", type: "incremental" })).toBe(at("2026-11-07T02:01:01Z"));
  expect(last({ ...cloud, operation: "backup", type: "incremental" })).toBeNull();
  expect(last({ ...cloud, operation: "verify", type: "" })).toBe(at("2026-11-07T03:01:01Z"));
  expect(last({ ...onsite, operation: "drill", type: "" })).toBe(at("2026-11-02T04:05:00Z"));
  expect(last({ ...cloud, operation: "drill", type: "" })).toBeNull();
});

test("figures of another version are no error, and no success of any copy", async () => {
  await using fixture = await openApi();
  for (const [index, figures] of [
    { repositories: ["onsite", 7, null] },
    { repositories: "onsite" },
    { copies: ["onsite", ["complete"], { repository: "onsite" }] },
    { copies: { state: "complete" } },
    {},
  ].entries())
    for (const operation of ["backup", "expire", "drill"])
      fixture.history.ran({ operation, type: operation === "backup" ? "full" : null, at: `2026-11-0${index + 1} 02:00`, figures });
  const { families } = await scrape(fixture);
  expect(families.get("holdfast_last_success_timestamp_seconds")?.samples).toMatchObject([
    { labels: { operation: "expire", repository: "onsite" }, value: Date.parse("2026-11-02T02:01:00Z") / 1000 },
  ]);
});

test("drills, windows and gaps are as last known", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { families } = await scrape(fixture);
  expect(value(families, "holdfast_drill_last_pass_timestamp_seconds", { source: "orders" })).toBe(Date.parse("2026-11-02T04:05:00Z") / 1000);
  expect(value(families, "holdfast_drill_rto_seconds", { source: "orders" })).toBe(412.5);
  expect(value(families, "holdfast_recovery_window_start_timestamp_seconds", onsite)).toBe(Date.parse("2026-11-01T02:11:00Z") / 1000);
  expect(value(families, "holdfast_recovery_window_end_timestamp_seconds", cloud)).toBe(Date.parse("2026-11-08T11:59:40Z") / 1000);
  expect(value(families, "holdfast_wal_gaps", onsite)).toBe(0);
  expect(value(families, "holdfast_wal_gaps", { source: "wiki", repository: "onsite" })).toBeNull();
});

test("labels hold names and never ids, paths or the text of errors", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { text, families } = await scrape(fixture);
  expect(text).not.toMatch(/2026|stored in|file:|\/srv|\/mnt|env:/);
  expect(new Set([...families.values()].flatMap(({ samples }) => samples.flatMap(({ labels }) => Object.keys(labels))))).toEqual(
    new Set(["source", "repository", "operation", "type", "outcome", "version", "severity"]),
  );
});

test("a repository is as full as last measured, and its end is in sight only where free space shrinks", async () => {
  await using fixture = await openApi();
  for (const [hour, freeBytes] of [4e9, 3e9, 2e9].entries())
    recordCapacity(fixture.history.catalog, "onsite", { at: `2026-11-08T${String(8 + hour).padStart(2, "0")}:00:00.000Z`, usedBytes: 7e9 - freeBytes, freeBytes });
  recordCapacity(fixture.history.catalog, "cloud", { at: "2026-11-08T10:00:00.000Z", usedBytes: 5, freeBytes: null });
  const { families } = await scrape(fixture);
  const of = (name: string, repository: string): number | null => value(families, `holdfast_repository_${name}`, { repository });
  expect(["used_bytes", "free_bytes", "full_timestamp_seconds"].map((name) => of(name, "onsite"))).toEqual([5e9, 2e9, Date.parse("2026-11-08T12:00:00Z") / 1000]);
  expect(["used_bytes", "free_bytes", "full_timestamp_seconds"].map((name) => of(name, "cloud"))).toEqual([5, null, null]);
});

test("the end of a repository that may grow to so much is in sight also where its place says nothing, as in a bucket", async () => {
  const inventory = await loadTestInventory();
  const repositories = new Map([...inventory.repositories].map(([name, config]) => [name, { ...config, maxBytes: name === "cloud" ? 7e9 : null }]));
  await using fixture = await openApi({ inventory: { ...inventory, repositories } });
  for (const [hour, usedBytes] of [3e9, 4e9, 5e9].entries())
    recordCapacity(fixture.history.catalog, "cloud", { at: `2026-11-08T${String(8 + hour).padStart(2, "0")}:00:00.000Z`, usedBytes, freeBytes: null });
  const { families } = await scrape(fixture);
  const seen = ["used_bytes", "free_bytes", "full_timestamp_seconds"].map((name) => value(families, `holdfast_repository_${name}`, { repository: "cloud" }));
  expect(seen).toEqual([5e9, 2e9, Date.parse("2026-11-08T12:00:00Z") / 1000]);
});

test("how long a recovery would take is there once it was summed up, and is an estimate from drills", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  expect(value((await scrape(fixture)).families, "holdfast_rto_predicted_seconds", { source: "orders" })).toBeNull();
  const { sources } = await loadTestInventory();
  for (const source of sources.values()) keepSummary(fixture.history.catalog, source, new Date("2026-11-08T12:00:10Z"));
  const { families } = await scrape(fixture);
  // The drill took 412.5 s, with more WAL than there is now.
  const predicted = value(families, "holdfast_rto_predicted_seconds", { source: "orders" });
  expect(predicted).toBeGreaterThan(300);
  expect(predicted).toBeLessThan(412.5);
  expect(value(families, "holdfast_rto_predicted_seconds", { source: "wiki" })).toBeNull();
});

test("two scrapes in a row are the same, and a change shows in the next", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const first = await scrape(fixture);
  expect((await scrape(fixture)).text).toBe(first.text);
  fixture.history.observed({ from: "2026-11-08 12:00:06", to: "2026-11-08 12:00:07", seconds: () => null });
  expect(value((await scrape(fixture)).families, "holdfast_exposure_seconds", onsite)).toBeNull();
});

test("the parser of this test refuses what Prometheus would refuse", () => {
  const family = "# HELP a b\n# TYPE a gauge\n";
  for (const wrong of [
    `${family}a 1`,
    `${family}a{x=1} 1\n`,
    `${family}a{x="1"} one\n`,
    `${family}a 1\na 1\n`,
    `${family}b 1\n`,
    "# TYPE a gauge\n",
    `${family}a{x="1",x="2"} 1\n`,
    `${family}a{x="\\q"} 1\n`,
  ])
    expect(() => parsePrometheusText(wrong)).toThrow(Error);
  expect(parsePrometheusText(`${family}a{x="q\\"\\\\\\n"} 1e3\n`).get("a")?.samples).toEqual([{ labels: { x: 'q"\\\n' }, value: 1000 }]);
});

/** Where Prometheus is installed, its own tool has the last word. */
const PROMTOOL = "promtool";
const isInstalled = spawnSync(PROMTOOL, ["--version"]).status === 0;

test.skipIf(!isInstalled)(isInstalled ? "promtool has nothing to say" : `${NOT_RUN}promtool is not installed here`, async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const { text } = await scrape(fixture);
  const check = spawnSync(PROMTOOL, ["check", "metrics"], { input: text, encoding: "utf8" });
  expect([check.status, check.stdout, check.stderr]).toEqual([0, "", ""]);
});
