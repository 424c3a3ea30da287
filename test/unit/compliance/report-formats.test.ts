import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { buildReport, streamReport } from "../../../src/compliance/report.ts";
import { csvLines, csvTables, slotTable } from "../../../src/compliance/report-csv.ts";
import { renderReport } from "../../../src/compliance/report-html.ts";
import { jsonPieces } from "../../../src/compliance/report-json.ts";
import { renderPdf } from "../../../src/compliance/report-pdf.ts";
import { slotBySlot } from "../../../src/compliance/slot-list.ts";
import type { ComplianceReport, StreamedReport } from "../../../src/domain/compliance.ts";
import { mostTelling } from "../../../src/domain/control-population.ts";
import { drawSample } from "../../../src/domain/sample.ts";
import { pdfText } from "../../support/pdf-text.ts";
import { eventfulDay, iso, loadTestInventory, openHistory } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();

const [from, to, now] = [new Date(iso("2026-11-01 00:00")), new Date(iso("2026-11-02 00:00")), new Date(iso("2026-11-02 06:00"))];

function reportOf(history: History): ComplianceReport {
  return buildReport({ catalog: history.catalog, inventory, from, to, now, sources: null, evidenceHead: null });
}

function streamedOf(history: History): StreamedReport {
  return streamReport({ catalog: history.catalog, inventory, from, to, now, sources: null, evidenceHead: null });
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

function csvOf(report: StreamedReport, name: string): Record<string, string>[] {
  const table = csvTables(report).find((each) => each.name === name);
  return readCsv(table === undefined ? "" : [...csvLines(table)].join(""));
}

test("the JSON that is written in pieces is the report", async () => {
  await using history = await eventfulDay();
  const report = reportOf(history);
  expect(JSON.parse([...jsonPieces(report)].join(""))).toEqual(structuredClone(report));
});

test("a report whose records stay in the catalog is the same in every format, and reads them anew each time", async () => {
  await using history = await eventfulDay();
  history.drilled("2026-11-01 15:00", { verdict: "fail", rtoActualSeconds: 12 });
  const [report, streamed] = [reportOf(history), streamedOf(history)];
  expect(JSON.parse([...jsonPieces(streamed)].join(""))).toEqual(structuredClone(report));
  expect(renderReport(streamed)).toBe(renderReport(report));
  expect((await renderPdf(streamed)).equals(await renderPdf(report))).toBe(true);
  for (const { name } of csvTables(report)) expect(csvOf(streamed, name), name).toEqual(csvOf(report, name));
  expect([...streamed.population.runs]).toEqual(report.population.runs);
  expect([streamed.population.runs.length, streamed.population.drills.length]).toEqual([report.population.runs.length, report.population.drills.length]);
});

test("what others write while a report is read is not in it", async () => {
  await using history = await eventfulDay();
  const before = reportOf(history).population.runs.length;
  using other = history.openAgain();
  await other.readTogether(async () => {
    const streamed = streamReport({ catalog: other, inventory, from, to, now, sources: null, evidenceHead: null });
    history.ran({ operation: "backup", type: "full", at: "2026-11-01 13:00" });
    expect([...streamed.population.runs]).toHaveLength(before);
  });
  expect([...streamReport({ catalog: other, inventory, from, to, now, sources: null, evidenceHead: null }).population.runs]).toHaveLength(before + 1);
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

test("of too many records those that tell something come first, and no more are read than are needed", () => {
  let read = 0;
  const records = {
    length: 1000,
    *[Symbol.iterator]() {
      for (let i = 0; i < 1000; i++) {
        read++;
        yield i;
      }
    },
  };
  expect(mostTelling(records, 3, (i) => i % 10 === 9)).toEqual([9, 19, 29]);
  expect(read).toBe(30);
  expect(mostTelling(records, 3, (i) => i === 500)).toEqual([500, 0, 1]);
  expect(mostTelling([1, 2], 3, () => false)).toEqual([1, 2]);
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
  const text = pdfText(await renderPdf(report));
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
  expect((await renderPdf(report)).equals(await renderPdf(report))).toBe(true);
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
