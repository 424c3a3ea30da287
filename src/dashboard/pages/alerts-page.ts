import { pageOfAlerts } from "../../catalog/alerts.ts";
import type { Alert } from "../../catalog/alerts.ts";
import { html } from "../../compliance/html.ts";
import type { HtmlValue } from "../../compliance/html.ts";
import { NONE, time } from "../../compliance/report-format.ts";
import { outcomeBadge, table } from "../../compliance/report-parts.ts";
import { filterForm, selectField } from "../figures.ts";
import { linkTo, pager, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { pageNumber } from "../view.ts";
import type { View } from "../view.ts";

const ALERTS_A_PAGE = 50;
const STATES = ["open", "acknowledged", "resolved"] as const;

/** What is wrong, since when, and what to do about it. */
export function alertsPage(view: View): Page {
  const { query, facts, now } = view;
  const page = pageNumber(view);
  const state = STATES.find((known) => known === query["state"]) ?? null;
  const sources = view.seesAll ? null : [...view.sources.keys()];
  const found = pageOfAlerts(facts.catalog, { sources, source: null, severity: null, state, limit: ALERTS_A_PAGE + 1, offset: page * ALERTS_A_PAGE, order: "worst-open" });
  const shown = found.slice(0, ALERTS_A_PAGE);
  return {
    title: "Alerts",
    still: filterForm(pathTo.alerts, selectField("State", "state", query["state"], [["", "any"], ...STATES.map((known) => [known, known] as const)])),
    live: html`${table({
        caption: "What is not over first, the worst of it on top; then the newest",
        columns: ["Severity", "State", "What is wrong", "Source", "Since", "What to do"],
        rows: shown.map((alert) => row(alert, view)),
        empty: state === null ? "there was never anything wrong" : "none",
      })}
      ${pager(pathTo.alerts, query, { page, hasMore: found.length > ALERTS_A_PAGE })}
      <p class="empty">
        As of <time datetime="${now.toISOString()}">${now.toISOString().slice(11, 19)}</time>. Somebody takes care of one: <code>holdfast alert ack ID --reason "…"</code>
      </p>`,
  };
}

function row(alert: Alert, { sources }: View): HtmlValue[] {
  const { severity, state, title, detail, source, since, whatToDo, id, acknowledgedBy } = alert;
  return [
    html`${outcomeBadge(severity)}`,
    html`${state}${acknowledgedBy === null ? "" : ` by ${acknowledgedBy}`}`,
    html`<strong>${title}</strong>${detail === null ? "" : html`<span class="why">${detail}</span>`}<span class="why"><code>${id}</code></span>`,
    source === null ? NONE : sources.has(source) ? linkTo(pathTo.source(source), source) : source,
    time(since),
    whatToDo,
  ];
}
