import { Readable } from "node:stream";
import { html } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { csvLines, csvTables, recordTables } from "../../compliance/report-csv.ts";
import { extractOf } from "../../compliance/report-extract.ts";
import { jsonOf } from "../../compliance/report-json.ts";
import { renderReport, reportBody } from "../../compliance/report-html.ts";
import { buildReportInTurns } from "../../compliance/report.ts";
import type { ComplianceReport } from "../../domain/compliance.ts";
import { filterForm, selectField, textField } from "../figures.ts";
import { linkTo, pathTo, withQuery } from "../links.ts";
import type { Page } from "../page.ts";
import { PageProblem } from "../view.ts";
import type { View } from "../view.ts";

const DAY_MS = 86_400_000;
const USUAL_DAYS = 30;
const MOST_DAYS = 400;
/** A page of more is nobody's reading; whoever needs all of them takes the file. */
const MOST_SOURCES = 20;
/** It is set in one piece, and nobody is answered meanwhile. */
const MOST_PDF_SOURCES = 50;

const FORMATS: readonly string[] = ["html", "pdf", "json", "csv"];
/** Those of report-csv.ts: what a spreadsheet is opened for. */
const CSV_TABLES = ["summary", "sources", "work", "exposure", "breaches", "findings", "controls", "drills", "runs"] as const;

interface Asked {
  readonly from: Date;
  readonly to: Date;
  readonly sources: readonly string[];
}

/** The compliance report of a period, to read and to take along. */
export async function reportPage(view: View): Promise<Page> {
  const { from, to, sources } = askedFor(view);
  const day = (at: Date): string => at.toISOString().slice(0, 10);
  const query = { from: day(from), to: day(new Date(to.getTime() - 1)), ...(view.query["source"] === undefined ? {} : { source: view.query["source"] }) };
  const names = [...view.sources.keys()];
  const download = (format: string, words: string): Html => linkTo(withQuery("/report/download", query, { format }), words);
  return {
    title: "Report",
    still: html`${filterForm(pathTo.report, [
        textField("From", "from", query.from, "date"),
        textField("To", "to", query.to, "date"),
        selectField("Source", "source", view.query["source"], [["", names.length > MOST_SOURCES ? "all (as a file only)" : "all"], ...names.map((name) => [name, name] as const)]),
      ])}
      <p class="take-along">
        Take it along as ${download("pdf", "PDF")}, ${download("html", "a page")}, ${download("json", "JSON")}, or a table as CSV:
        ${CSV_TABLES.map((table, index) => html`${index === 0 ? "" : ", "}${linkTo(withQuery("/report/download", query, { format: "csv", table }), table)}`)}. Signed, so that
        others need not trust who hands it over, it is made by <code>holdfast report</code>.
      </p>
      ${sources.length > MOST_SOURCES ? html`<p class="empty">A report over ${sources.length} sources is too long for a page: choose one, or take the file.</p>` : await readingPart({ from, to, sources }, view)}`,
  };
}

async function readingPart(asked: Asked, view: View): Promise<HtmlValue> {
  return html`<div class="report">${reportBody(await build(asked, view))}</div>`;
}

export interface Download {
  readonly name: string;
  readonly type: string;
  readonly body: string | Buffer | Readable;
}

/** The same report as a file: JSON and CSV as `holdfast report` writes them, in pieces. */
export async function reportDownload(view: View): Promise<Download> {
  const asked = askedFor(view);
  const table = CSV_TABLES.find((known) => known === (view.query["table"] ?? "summary"));
  const format = view.query["format"] ?? "html";
  if (format === "pdf" && asked.sources.length > MOST_PDF_SOURCES)
    throw new PageProblem(404, `A PDF of ${asked.sources.length} sources is nobody's reading: choose one, or make it with 'holdfast report --format pdf'.`);
  if (!FORMATS.includes(format) || table === undefined)
    throw new PageProblem(404, `There is no report like that: formats are ${FORMATS.join(", ")}; tables of CSV are ${CSV_TABLES.join(", ")}.`);
  const report = await build(asked, view);
  const name = `holdfast-report-${asked.from.toISOString().slice(0, 10)}`;
  switch (format) {
    case "json":
      return { name: `${name}.json`, type: "application/json; charset=utf-8", body: Readable.from(jsonOf(report)) };
    case "csv": {
      const found = [...csvTables(report), ...recordTables(report.population)].find((each) => each.name === `${table}.csv`);
      return { name: `${name}-${table}.csv`, type: "text/csv; charset=utf-8", body: Readable.from(found === undefined ? [] : csvLines(found)) };
    }
    case "pdf":
      return { name: `${name}.pdf`, type: "application/pdf", body: await (await import("../../compliance/report-pdf.ts")).renderPdf(report, extractOf(report)) };
    default:
      return { name: `${name}.html`, type: "text/html; charset=utf-8", body: renderReport(report) };
  }
}

/** Of what may not be seen not even the names are in it: to its reader the inventory is what may be seen. */
async function build({ from, to, sources }: Asked, { facts: { catalog, inventory, evidenceHead }, sources: visible, now }: View): Promise<ComplianceReport> {
  return buildReportInTurns({ catalog, inventory: { ...inventory, sources: visible }, from, to, now, sources, evidenceHead: await evidenceHead() });
}

/** Whole days, the last one included. What is no period is the last thirty days. */
function askedFor({ query, sources, now }: View): Asked {
  const name = query["source"] ?? "";
  if (name !== "" && !sources.has(name)) throw new PageProblem(404, "There is no source of that name, or none that you may see.");
  const tomorrowMs = Math.floor(now.getTime() / DAY_MS) * DAY_MS + DAY_MS;
  const [fromMs, toMs] = [dayMs(query["from"]), dayMs(query["to"])];
  const isPeriod = fromMs !== null && toMs !== null && fromMs <= toMs && toMs - fromMs <= MOST_DAYS * DAY_MS;
  return {
    from: new Date(isPeriod ? fromMs : tomorrowMs - USUAL_DAYS * DAY_MS),
    to: new Date(isPeriod ? toMs + DAY_MS : tomorrowMs),
    sources: name === "" ? [...sources.keys()] : [name],
  };
}

function dayMs(text: string | undefined): number | null {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}
