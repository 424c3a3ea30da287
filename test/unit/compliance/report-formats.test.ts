import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { buildReport, streamReport } from "../../../src/compliance/report.ts";
import { csvLines, csvTables, recordTables, slotTable } from "../../../src/compliance/report-csv.ts";
import { pagePieces, renderReport } from "../../../src/compliance/report-html.ts";
import { extractOf, ExtractMaker } from "../../../src/compliance/report-extract.ts";
import type { ReportExtract } from "../../../src/compliance/report-extract.ts";
import { jsonOf, jsonPieces, recordLine } from "../../../src/compliance/report-json.ts";
import { renderPdf } from "../../../src/compliance/report-pdf.ts";
import { slotBySlot } from "../../../src/compliance/slot-list.ts";
import type { ComplianceReport, ReportFigures, SourceReport } from "../../../src/domain/compliance.ts";
import { MostTelling } from "../../../src/domain/control-population.ts";
import type { DrillRecord, RunRecord } from "../../../src/domain/control-population.ts";
import { drawSample } from "../../../src/domain/sample.ts";
import { pdfText } from "../../support/pdf-text.ts";
import { eventfulDay, iso, loadTestInventory, openHistory } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();

const [from, to, now] = [new Date(iso("2026-11-01 00:00")), new Date(iso("2026-11-02 00:00")), new Date(iso("2026-11-02 06:00"))];

function reportOf(history: History): ComplianceReport {
  return buildReport({ catalog: history.catalog, inventory, from, to, now, sources: null, evidenceHead: null });
}

interface Streamed {
  readonly report: ReportFigures;
  readonly extract: ReportExtract;
  readonly json: string;
  readonly runs: readonly RunRecord[];
  readonly drills: readonly DrillRecord[];
}

function streamedOf(catalog: Catalog): Streamed {
  const making = new ExtractMaker();
  const [sources, runs, drills]: [SourceReport[], RunRecord[], DrillRecord[]] = [[], [], []];
  const report = streamReport(
    { catalog, inventory, from, to, now, sources: null, evidenceHead: null },
    {
      run: (run) => void (making.run(run), runs.push(run)),
      drill: (drill) => void (making.drill(drill), drills.push(drill)),
      source: (source) => void (making.source(source), sources.push(source)),
    },
  );
  const lines = (all: readonly object[]): string[] => all.map((each, i) => recordLine(each, i === 0));
  const json = [...jsonPieces(report, { sources: lines(sources), runs: lines(runs), drills: lines(drills) })].join("");
  return { report, extract: making.extract(), json, runs, drills };
}

/** Rows as objects, by a reader of RFC 4180 that knows nothing of ours. */
function readCsv(text: string): Record<string, string>[] {
  const records: string[][] = [[]];
  for (const [, quoted, plain = "", end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g)) {
    records.at(-1)?.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\r\n") records.push([]);
  }
  const [head = [], ...rows] = records.filter((record) => record.length > 0);
  return rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i] ?? ""])));
}

function csvOf(report: ComplianceReport, name: string): Record<string, string>[] {
  const table = [...csvTables(report), ...recordTables(report.population)].find((each) => each.name === name);
  return readCsv(table === undefined ? "" : [...csvLines(table)].join(""));
}

test("the JSON that is written in pieces is the report", async () => {
  await using history = await eventfulDay();
  const report = reportOf(history);
  expect(JSON.parse([...jsonOf(report)].join(""))).toEqual(structuredClone(report));
});

test("a report that goes by as it is made is the same in every format", async () => {
  await using history = await eventfulDay();
  history.drilled("2026-11-01 15:00", { verdict: "fail", rtoActualSeconds: 12 });
  const whole = reportOf(history);
  const { report, extract, json, runs, drills } = streamedOf(history.catalog);
  expect(JSON.parse(json)).toEqual(structuredClone(whole));
  expect([...pagePieces(report, extract)].join("")).toBe(renderReport(whole));
  expect((await renderPdf(report, extract)).equals(await renderPdf(whole, extractOf(whole)))).toBe(true);
  const tables = csvTables(whole);
  expect(csvTables(report).map((table) => [...csvLines(table)])).toEqual(tables.map((table) => [...csvLines(table)]));
  expect([runs, drills]).toEqual([whole.population.runs, whole.population.drills]);
  expect([report.population.runs.length, report.population.drills.length]).toEqual([runs.length, drills.length]);
  expect(JSON.stringify(report.sources)).not.toMatch(/"(?:series|actual|verification)"/);
});

test("what others write while a report is read is not in it", async () => {
  await using history = await eventfulDay();
  const before = reportOf(history).population.runs.length;
  using other = history.openAgain();
  await other.readTogether(async () => {
    expect(streamedOf(other).runs).toHaveLength(before);
    history.ran({ operation: "backup", type: "full", at: "2026-11-01 13:00" });
    expect(streamedOf(other).runs).toHaveLength(before);
  });
  expect(streamedOf(other).runs).toHaveLength(before + 1);
});

test("whether a drill ran apart from its source is told, and what an older version did not put on record is unknown", async () => {
  await using history = await openHistory();
  const apart = { drillHost: "drills", sourceHost: "db1", sameMachine: false, reason: "the address of the source is not one of this machine" };
  history.drilled("2026-11-01 04:00", { segregation: apart });
  history.drilled("2026-11-01 05:00");
  const report = reportOf(history);
  expect(report.population.drills.map(({ segregation }) => segregation)).toEqual([apart, null]);
  expect(csvOf(report, "drills.csv").map((row) => [row["segregation.sameMachine"], row["segregation.drillHost"]])).toEqual([
    ["false", "drills"],
    ["", ""],
  ]);
  expect(renderReport(report)).toContain(`<span title="${apart.reason}">yes</span>`);
});

test("slot by slot, an interval is as many rows as it has slots", async () => {
  await using history = await openHistory();
  history.ran({ operation: "expire", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00" });
  history.passedOver({ operation: "expire", slot: "2026-11-01 03:00", until: "2026-11-01 05:00", slots: 3 });
  const rows = readCsv([...csvLines(slotTable(slotBySlot(history.catalog, inventory.sources.values(), from, to)))].join(""));
  expect(rows.map(({ source, operation, slot, outcome }) => [source, operation, slot, outcome])).toEqual([
    ["orders", "expire", iso("2026-11-01 02:00"), "done"],
    ...[3, 4, 5].map((hour) => ["orders", "expire", iso(`2026-11-01 0${hour}:00`), "missed"]),
  ]);
});

test("of too many records those that tell something come first", () => {
  const told = (records: Iterable<number>, isTelling: (i: number) => boolean): ReturnType<MostTelling<number>["told"]> => {
    const most = new MostTelling<number>(3, isTelling);
    for (const record of records) most.take(record);
    return most.told();
  };
  const thousand = Array.from({ length: 1000 }, (_, i) => i);
  expect(told(thousand, (i) => i % 10 === 9)).toEqual({ length: 1000, shown: [9, 19, 29] });
  expect(told(thousand, (i) => i === 500)).toEqual({ length: 1000, shown: [500, 0, 1] });
  expect(told(thousand, (i) => i === 1)).toEqual({ length: 1000, shown: [1, 0, 2] });
  expect(told([1, 2, 3], (i) => i === 3)).toEqual({ length: 3, shown: [1, 2, 3] });
});

test("every head of a column in the CSV is the path of a value in the JSON, and every record is a row", async () => {
  await using history = await eventfulDay();
  const report = reportOf(history);
  const { runs, drills } = report.population;
  expect(csvOf(report, "runs.csv")).toHaveLength(runs.length);
  expect(csvOf(report, "drills.csv")).toHaveLength(drills.length);
  expect(csvOf(report, "runs.csv")).toEqual(runs.map((run) => Object.fromEntries(Object.entries(run).map(([name, value]) => [name, value === null ? "" : String(value)]))));
  const [source] = report.sources;
  for (const path of Object.keys(csvOf(report, "sources.csv")[0] ?? {}).filter((name) => !name.startsWith("drills.last.")))
    expect(
      path.split(".").reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], source),
      path,
    ).not.toBeUndefined();
});

test("text that a spreadsheet would run stands as text, and commas, quotes and line ends stay in their cell", async () => {
  await using history = await eventfulDay();
  const reasons = ['=HYPERLINK("http://x")', 'said "no", and\r\nended', "+1", "@sum", "-2"];
  for (const [i, reason] of reasons.entries()) history.ran({ operation: "backup", type: "full", at: `2026-11-01 1${i}:30`, outcome: "failed", reason });
  const read = csvOf(reportOf(history), "runs.csv").map((row) => row["reason"]);
  expect(read).toEqual(expect.arrayContaining(['\'=HYPERLINK("http://x")', 'said "no", and\r\nended', "'+1", "'@sum", "'-2"]));
});

test("JSON, CSV, page and PDF give the same figures, a missed drill and a missed backup among them", async () => {
  await using history = await eventfulDay();
  history.passedOver({ operation: "drill", slot: "2026-11-01 10:00" });
  const report = reportOf(history);
  const tiers = report.summary.map(({ tier, sources, recoveryPoint: point, recoveryTime: time, drills }) => ({
    tier,
    inAll: [sources, point.held, point.breached, point.not_evidenced, time.held, time.breached, time.not_evidenced],
    drills: [drills.due, drills.run, drills.passed, drills.failed, drills.inconclusive, drills.missed],
    onPage: [drills.run, drills.failed, drills.missed],
  }));
  expect(tiers.map(({ drills }) => drills.at(-1))).toContain(1);
  expect(csvOf(report, "summary.csv").map((row) => Object.values(row))).toEqual(tiers.map(({ tier, inAll, drills }) => [tier, ...[...inAll, ...drills].map(String)]));
  const text = pdfText(await renderPdf(report, extractOf(report)));
  const page = renderReport(report);
  for (const { tier, inAll, drills, onPage } of tiers) {
    const at = text.indexOf(tier, text.indexOf("Summary"));
    expect(text.slice(at, at + 14)).toEqual([tier, ...[...inAll, ...drills].map(String)]);
    const row = page.slice(page.indexOf(`<span>${tier}</span>`, page.indexOf("By tier")));
    expect([...row.slice(0, row.indexOf("</tr>")).matchAll(/<data[^>]* value="(\d+)"/g)].map(([, value]) => Number(value))).toEqual([...inAll, ...onPage]);
  }
  expect(text).toContain(`Findings: ${report.findings.length}`);
  expect(csvOf(report, "findings.csv")).toHaveLength(report.findings.length);
  const missed = report.population.runs.filter(({ outcome }) => outcome === "missed");
  expect(new Set(missed.map(({ operation }) => operation))).toEqual(new Set(["backup", "drill"]));
  expect(csvOf(report, "runs.csv").filter(({ outcome }) => outcome === "missed")).toHaveLength(missed.length);
  expect(csvOf(report, "drills.csv").filter(({ outcome }) => outcome === "missed")).toHaveLength(1);
  expect(text.slice(text.findIndex((line) => line.startsWith("Drill register")))).toContain("missed");
});

test("the same report is the same PDF, and a name outside of Latin-1 does not break it", async () => {
  await using history = await eventfulDay();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 13:00", outcome: "failed", reason: "сломано 壊れた \u202e" });
  const report = reportOf(history);
  expect((await renderPdf(report, extractOf(report))).equals(await renderPdf(report, extractOf(report)))).toBe(true);
});

test("a sample is drawn alike by whoever has the seed, whatever the order, and differs with it", () => {
  const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
  const population = Array.from({ length: 200 }, (_, i) => ({ id: `run-${i}` }));
  const sample = drawSample(population, 25, "seed", digest);
  expect(sample).toMatchObject({ seed: "seed", of: 200 });
  expect(new Set(sample.drawn.map(({ id }) => id)).size).toBe(25);
  expect(drawSample(population.toReversed(), 25, "seed", digest).drawn).toEqual(sample.drawn);
  expect(drawSample(population, 25, "other", digest).drawn).not.toEqual(sample.drawn);
  expect(drawSample(population, 500, "seed", digest).drawn).toHaveLength(200);
});
