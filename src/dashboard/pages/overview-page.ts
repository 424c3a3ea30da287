import { html, NOTHING } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { duration, NONE } from "../../compliance/report-format.ts";
import { table } from "../../compliance/report-parts.ts";
import { counted } from "../../domain/control-wording.ts";
import { byUrgency, summaryNow, trendOfDay } from "../../domain/source-summary.ts";
import type { SourceSummary } from "../../domain/source-summary.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { sparkLine } from "../charts/spark-line.ts";
import { againstObjective, ago, answers, estimate, filterForm, selectField, textField, verdictBadge } from "../figures.ts";
import { goingOn } from "../going-on.ts";
import { linkTo, pager, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { pageNumber } from "../view.ts";
import type { PageQuery, View } from "../view.ts";
import { firstSteps } from "./first-steps.ts";

const PAGE_ROWS = 50;

/** Every source that may be seen, the worst first: can we recover, to when, how fast, and when was that last proven. */
export function overviewPage(view: View): Page {
  const all = summariesOf(view).toSorted(byUrgency);
  const asked = all.filter((summary) => isAskedFor(summary, view));
  const page = Math.min(pageNumber(view), Math.max(0, Math.ceil(asked.length / PAGE_ROWS) - 1));
  const shown = asked.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
  return {
    title: "Overview",
    heading: all.length === 0 && !view.seesAll ? "Nothing that you may see" : headline(all),
    still: all.length < 2 ? NOTHING : filter(view),
    live: html`${all.length === 0 && !view.seesAll ? nothingToSee(view) : firstSteps(all)} ${all.length === 0 ? NOTHING : fourAnswers(all, view.now)} ${goingOn(view, null)}
    ${all.length === 0 ? NOTHING : sourceTable(shown, asked.length, view)}
    ${pager(pathTo.overview, view.query, { page, hasMore: asked.length > (page + 1) * PAGE_ROWS, of: Math.ceil(asked.length / PAGE_ROWS) })}`,
  };
}

function nothingToSee({ who }: View): Html {
  return html`<p class="lead">
    ${who === null ? "What you were given names" : html`You are signed in as <strong>${who.name}</strong>, for`} sources of which there is none here, or none any more. Whoever runs
    Holdfast gives access to others:
    <code>holdfast token add --sources …</code>
  </p>`;
}

/** As they were last summed up and still hold; a source that nobody has observed yet is there too. */
function summariesOf({ facts, sources, now }: View): SourceSummary[] {
  const known = new Map(facts.summaries().map((summary) => [summary.name, summary]));
  return [...sources.values()].map((source) => {
    const summary = known.get(source.name);
    return summary === undefined ? neverObserved(source) : { ...summaryNow(summary, now), objectives: source.objectives };
  });
}

function neverObserved({ name, objectives }: SourceConfig): SourceSummary {
  const unknown = { backups: null, recoverableTo: null, exposureSeconds: null, exposureAt: null, predicted: null, lastProvenAt: null, lastRtoSeconds: null, lastVerdict: null };
  return { name, objectives, verdict: "unknown", reasons: [{ kind: "unknown", text: "not looked at yet" }], trend: [], ...unknown };
}

function isAskedFor({ name, verdict }: SourceSummary, { query, sources }: View): boolean {
  const source = sources.get(name);
  const words = (query["q"] ?? "").toLowerCase();
  const texts = [name, source?.tier ?? "", source?.dataClass ?? "", ...Object.entries(source?.labels ?? {}).map(([label, value]) => `${label}=${value}`)];
  return (["", undefined].includes(query["state"]) || query["state"] === verdict) && texts.some((text) => text.toLowerCase().includes(words));
}

function headline(all: readonly SourceSummary[]): string {
  const count = (verdict: string): number => all.filter((summary) => summary.verdict === verdict).length;
  if (all.length === 0) return "Nothing is protected yet";
  if (count("breached") > 0)
    return `${counted(count("breached"), "source")} of ${all.length} ${count("breached") === 1 ? "does" : "do"} not hold ${count("breached") === 1 ? "its" : "their"} objectives`;
  return count("unknown") > 0
    ? `Of ${counted(count("unknown"), "source")} it is not known whether objectives are held`
    : `All ${counted(all.length, "source")} can be recovered within objectives`;
}

function filter({ query }: View): Html {
  const states = [
    ["", "any"],
    ["breached", "breached"],
    ["unknown", "unknown"],
    ["ok", "ok"],
  ] as const;
  return filterForm(pathTo.overview, [textField("Name, label or tier", "q", query["q"]), selectField("State", "state", query["state"], states)]);
}

/** The questions that this program is for, over all sources: each answered by the worst of them. */
function fourAnswers(all: readonly SourceSummary[], now: Date): Html {
  const able = all.filter(({ recoverableTo }) => recoverableTo !== null);
  const earliest = able.toSorted((a, b) => Date.parse(a.recoverableTo ?? "") - Date.parse(b.recoverableTo ?? ""))[0];
  const slowest = all.filter(({ predicted }) => predicted !== null).toSorted((a, b) => (b.predicted?.seconds ?? 0) - (a.predicted?.seconds ?? 0))[0];
  const proven = all.filter(({ lastProvenAt }) => lastProvenAt !== null);
  const longestAgo = proven.toSorted((a, b) => (a.lastProvenAt ?? "").localeCompare(b.lastProvenAt ?? ""))[0];
  const of = (name: string | undefined): HtmlValue => (name === undefined || all.length === 1 ? "" : html` (${linkTo(pathTo.source(name), name)})`);
  return answers([
    {
      question: "Can we recover?",
      answer: html`${able.length} of ${all.length}`,
      note: able.length === all.length ? "sources have something to restore" : "sources; of the others no recovery point is known",
    },
    {
      question: "To when?",
      answer: ago(earliest?.recoverableTo ?? null, now, "unknown"),
      note: html`${all.length === 1 ? "the newest moment that can be brought back" : "at worst"}${of(earliest?.name)}`,
    },
    {
      question: "How fast?",
      answer: slowest?.predicted === undefined || slowest.predicted === null ? html`<span class="unknown">unknown</span>` : duration(slowest.predicted.seconds),
      note: slowest === undefined ? "no drill has measured it" : html`estimate, ${all.length === 1 ? "for the newest state" : "the longest"}${of(slowest.name)}`,
    },
    {
      question: "When last proven?",
      answer: proven.length < all.length ? html`<span class="unknown">${all.length - proven.length} never</span>` : ago(longestAgo?.lastProvenAt ?? null, now, "never"),
      note:
        longestAgo === undefined
          ? "by a drill: restored, started, checked"
          : html`by a drill${all.length === 1 ? "" : `; longest ago ${proven.length < all.length ? "of the others" : ""}`}${of(longestAgo.name)}`,
    },
  ]);
}

function sourceTable(shown: readonly SourceSummary[], total: number, { now, query }: View): Html {
  return html`<div class="sources">
    ${table({
      caption: total === shown.length ? `${counted(total, "source")}, the worst first` : `${shown.length} of ${counted(total, "source")}, the worst first`,
      columns: ["State", "Source", "Recoverable to", "Exposure of RPO", "Recovery of RTO", "Last proof", "Last day"],
      rows: shown.map((summary) => row(summary, now)),
      empty: isFiltered(query) ? "none is like that" : "none",
    })}
  </div>`;
}

function isFiltered(query: PageQuery): boolean {
  return (query["q"] ?? "") !== "" || (query["state"] ?? "") !== "";
}

function row(summary: SourceSummary, now: Date): HtmlValue[] {
  const { name, verdict, reasons, objectives, recoverableTo, exposureSeconds, predicted, lastProvenAt, lastVerdict, trend } = summary;
  const why = reasons.find(({ kind }) => kind !== "note");
  return [
    verdictBadge(verdict),
    html`${linkTo(pathTo.source(name), name)}${why === undefined ? "" : html`<span class="why">${why.text}${reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : ""}</span>`}`,
    ago(recoverableTo, now, summary.backups === null ? "unknown" : "nothing to restore"),
    againstObjective(exposureSeconds, objectives.rpoSeconds),
    estimate(predicted, objectives.rtoSeconds),
    html`${ago(lastProvenAt, now, "never")}${lastVerdict === "fail" ? html`<span class="why">the last drill failed</span>` : ""}`,
    trend.length === 0 ? NONE : sparkLine(trendOfDay(trend, now), objectives.rpoSeconds),
  ];
}
