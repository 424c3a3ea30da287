import { findRun } from "../../catalog/runs.ts";
import type { Run } from "../../catalog/runs.ts";
import { drillRecord } from "../../compliance/drill-record.ts";
import { html, NOTHING } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { bytes, duration, NONE, time, UNKNOWN } from "../../compliance/report-format.ts";
import { facts, outcomeBadge, table, yesNoBadge } from "../../compliance/report-parts.ts";
import { runRecord } from "../../compliance/run-record.ts";
import { waterfallChart } from "../charts/waterfall-chart.ts";
import { againstObjective, answers } from "../figures.ts";
import { howFarOf } from "../going-on.ts";
import { linkTo, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { PageProblem } from "../view.ts";
import type { PageQuery, View } from "../view.ts";

/** One run with everything that is on record of it; a drill with its phases and checks. */
export function runPage(view: View, params: PageQuery): Page {
  const run = findRun(view.facts.catalog, params["id"] ?? "");
  if (run === null || !(view.seesAll || view.sources.has(run.source))) throw new PageProblem(404, "There is no run of that id, or none that you may see.");
  const isDrill = run.operation === "drill";
  return {
    title: `${isDrill ? "Drill" : titled(run)} of ${run.source === "" ? "no source" : run.source}`,
    heading: html`${isDrill ? "Drill" : titled(run)} of ${run.source} ${outcomeBadge(isDrill ? (drillRecord(run, 0).verdict ?? run.outcome) : run.outcome)}`,
    trail: [
      { path: isDrill ? pathTo.drills : pathTo.runs, name: isDrill ? "Drills" : "Runs" },
      ...(view.sources.has(run.source) ? [{ path: pathTo.source(run.source), name: run.source }] : []),
    ],
    live: html`${run.reason === null ? NOTHING : html`<p class="lead">${run.reason}</p>`} ${run.outcome === "running" ? html`<p class="lead">${howFarOf(view, run)}</p>` : NOTHING}
    ${isDrill && run.outcome !== "running" ? drillPart(run, view) : NOTHING} ${when(run)} ${record(run)}`,
  };
}

function titled({ operation, type }: Run): string {
  const words = type === null ? operation : `${type} ${operation}`;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function drillPart(run: Run, view: View): Html {
  const drill = drillRecord(run, 0);
  const measured = (seconds: number | null, objective: number | null): Html => (objective === null ? duration(seconds) : againstObjective(seconds, objective));
  return html`${answers([
      { question: "Recovery took", answer: measured(drill.rtoActualSeconds, drill.rtoObjectiveSeconds), note: "from the declaration to the last check" },
      { question: "Would have lost", answer: measured(drill.rpoActualSeconds, drill.rpoObjectiveSeconds), note: html`aimed at ${drill.target ?? UNKNOWN}` },
      { question: "Reached", answer: html`<code>${drill.achievedLsn ?? UNKNOWN}</code>`, note: html`promised: <code>${drill.expectedLsn ?? UNKNOWN}</code>` },
      { question: "Heartbeat", answer: yesNoBadge(drill.heartbeatOk, { yes: "as expected", no: "missing", none: "none" }), note: "the row that proves how far it reached" },
    ])}
    <section>
      <h2>Phases</h2>
      ${drill.phases.length === 0 ? html`<p class="empty">None is on record.</p>` : html`<figure>${waterfallChart(drill.phases, drill.rtoObjectiveSeconds)}</figure>`}
    </section>
    <section>
      <h2>Checks</h2>
      ${table({
        caption: "What was asked of the restored cluster",
        columns: ["Check", "Outcome", "Needed", "Found"],
        rows: checksOf(run).map(({ name, outcome, required, detail }) => [name, outcomeBadge(outcome), required ? "yes" : "no", detail ?? NONE]),
        empty: "none is on record",
      })}
    </section>
    ${facts([
      [
        "Backup",
        drill.backupId === null ? UNKNOWN : view.sources.has(run.source) ? linkTo(pathTo.backup(run.source, drill.backupId), html`<code>${drill.backupId}</code>`) : drill.backupId,
      ],
      ["Repository", drill.repository ?? UNKNOWN],
      ["Size", bytes(numberOf(run.facts["bytes"]))],
      ["WAL segments", numberOf(run.facts["walSegments"]) ?? UNKNOWN],
      ["Fault", drill.fault ?? NONE],
      ["Seed, on record before the run", html`<code>${drill.seed ?? NONE}</code>`],
    ])}`;
}

interface CheckView {
  readonly name: string;
  readonly outcome: string;
  readonly required: boolean;
  readonly detail: string | null;
}

/** With what each found, which the record of a drill leaves out. */
function checksOf(run: Run): CheckView[] {
  const found = run.facts["checks"];
  const details = Array.isArray(found) ? (found as { detail?: unknown }[]).map(({ detail }) => (typeof detail === "string" ? detail : null)) : [];
  return drillRecord(run, 0).checks.map((check, index) => ({ ...check, detail: details[index] ?? null }));
}

function when(run: Run): Html {
  const { durationSeconds } = runRecord(run, 0);
  return html`<section>
    <h2>When</h2>
    ${facts([
      ["Started", time(run.startedAt)],
      ["Finished", run.finishedAt === null ? html`<span class="unknown">still running</span>` : time(run.finishedAt)],
      ["Took", duration(durationSeconds, NONE)],
      ["Set off by", run.trigger],
      ["Slot", time(run.scheduledFor)],
      ["Slots", run.slots > 1 ? html`${run.slots}, to ${time(run.until)}` : NONE],
      ["Id", html`<code>${run.id}</code>`],
    ])}
  </section>`;
}

/** What was put on record, to the letter: what commands print with --json. */
function record({ facts: figures }: Run): Html {
  if (Object.keys(figures).length === 0) return NOTHING;
  return html`<section>
    <h2>On record</h2>
    <details>
      <summary>Everything that was recorded of this run</summary>
      <pre tabindex="0"><code>${JSON.stringify(figures, null, 2)}</code></pre>
    </details>
  </section>`;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
