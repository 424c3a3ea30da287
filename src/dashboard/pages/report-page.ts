import { html } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
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
      <p>
        Take it along as ${download("html", "a page")} or ${download("json", "JSON")}. Signed, so that others need not trust who hands it over, it is made by
        <code>holdfast report</code>.
      </p>
      ${sources.length > MOST_SOURCES ? html`<p class="empty">A report over ${sources.length} sources is too long for a page: choose one, or take the file.</p>` : await readingPart({ from, to, sources }, view)}`,
    live: "",
  };
}

async function readingPart(asked: Asked, view: View): Promise<HtmlValue> {
  return html`<div class="report">${reportBody(await build(asked, view))}</div>`;
}

export async function reportDownload(view: View): Promise<{ name: string; type: string; body: string }> {
  const asked = askedFor(view);
  const report = await build(asked, view);
  const name = `holdfast-report-${asked.from.toISOString().slice(0, 10)}`;
  return view.query["format"] === "json"
    ? { name: `${name}.json`, type: "application/json; charset=utf-8", body: JSON.stringify(report, null, 2) }
    : { name: `${name}.html`, type: "text/html; charset=utf-8", body: renderReport(report) };
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
