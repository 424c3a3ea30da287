import { FINDING_SEVERITIES } from "../domain/compliance.ts";
import type { ComplianceReport, EvidenceState, FindingSeverity } from "../domain/compliance.ts";
import type { DrillRecord, RunRecord } from "../domain/control-population.ts";
import type { ControlResult } from "../domain/control-status.ts";
import { RULES } from "../domain/control-map.ts";
import { counted } from "../domain/control-wording.ts";
import { html, Html, NOTHING } from "./html.ts";
import type { HtmlValue } from "./html.ts";
import { count, duration, formatTime, NONE, time, UNKNOWN } from "./report-format.ts";
import { sourceChapter } from "./report-html-source.ts";
import { facts, list, objectiveBadge, outcomeBadge, severityBadge, statusBadge, table, tile } from "./report-parts.ts";
import { REPORT_STYLE } from "./report-style.ts";

/** The report as one page that needs nothing else: no script, no font, no picture from elsewhere. The same figures as the JSON. */
export function renderReport(report: ComplianceReport): string {
  const { cover } = report;
  const title = `Backup and recovery evidence, ${formatTime(cover.period.from).slice(0, 10)} to ${formatTime(cover.period.to).slice(0, 10)}`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="generator" content="holdfast ${cover.programVersion}" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" />
        <title>${title}</title>
        <style>
          ${Html.trusted(REPORT_STYLE)}
        </style>
      </head>
      <body>
        ${reportBody(report)}
      </body>
    </html> `.toString();
}

/** What it says, without the page around it: the dashboard shows it inside of its own. */
export function reportBody(report: ComplianceReport): Html {
  const { cover } = report;
  return html`<header>
      <p class="kind">Holdfast · backup and recovery evidence</p>
      <h1>${formatTime(cover.period.from).slice(0, 16)} <span class="dash">to</span> ${formatTime(cover.period.to).slice(0, 16)}</h1>
      <p class="lead">
        ${statusBadge(report.status)} over all sources. All times are UTC. The report supports evidence for the controls it names; it does not state that anybody complies with
        them.
      </p>
    </header>
    <main>
      ${summary(report)} ${findings(report)} ${coverFacts(report)} ${tiers(report)} ${report.sources.map((source) => sourceChapter(source, report))} ${controls(report.controls)}
      ${drillRegister(report.population.drills)} ${runPopulation(report.population.runs)} ${closing(report)}
    </main>`;
}

function summary({ sources, findings: all, population }: ComplianceReport): Html {
  const held = (verdict: string): number => sources.filter(({ recoveryPoint }) => recoveryPoint === verdict).length;
  const fast = (verdict: string): number => sources.filter(({ recoveryTime }) => recoveryTime.verdict === verdict).length;
  const total = (of: "passed" | "failed" | "run"): number => sources.reduce((sum, { drills }) => sum + drills[of], 0);
  const bySeverity = FINDING_SEVERITIES.map((severity) => counted(all.filter((finding) => finding.severity === severity).length, ...SEVERITY_NOUNS[severity])).join(", ");
  const others = (breached: number, open: number): HtmlValue => `${breached} breached, ${open} not evidenced`;
  return html`<section class="tiles wide">
    ${tile("Recovery point held", html`${count(held("held"))} of ${count(sources.length)}`, others(held("breached"), held("not_evidenced")))}
    ${tile("Recovery time held", html`${count(fast("held"))} of ${count(sources.length)}`, others(fast("breached"), fast("not_evidenced")))}
    ${tile("Drills passed", html`${count(total("passed"))} of ${count(total("run"))}`, `${total("failed")} failed`)} ${tile("Findings", count(all.length), bySeverity)}
    ${tile("Records", count(population.runs.length), "runs and slots in the population")}
  </section>`;
}

const SEVERITY_NOUNS: Readonly<Record<FindingSeverity, readonly [string, string]>> = {
  deficiency: ["deficiency", "deficiencies"],
  missing_evidence: ["without evidence", "without evidence"],
  exception: ["exception", "exceptions"],
};

function findings({ findings: all }: ComplianceReport): Html {
  const worstFirst = all.toSorted((a, b) => FINDING_SEVERITIES.indexOf(a.severity) - FINDING_SEVERITIES.indexOf(b.severity));
  return html`<section>
    <h2>Findings</h2>
    ${table({
      caption: "What has to be answered, the worst first",
      columns: ["Severity", "Source", "Copy", "Since", "Finding", "About"],
      rows: worstFirst.map(({ severity, source, repository, at, detail, references }) => [
        severityBadge(severity),
        source ?? "all",
        repository ?? NONE,
        time(at),
        detail,
        references.length === 0
          ? NONE
          : html`<code>${references.slice(0, MOST_REFERENCES).join(", ")}${references.length > MOST_REFERENCES ? `, and ${references.length - MOST_REFERENCES} more` : ""}</code>`,
      ]),
      empty: "none",
    })}
  </section>`;
}

/** So many are worth reading in a table cell. */
const MOST_REFERENCES = 3;

function coverFacts({ cover, sources }: ComplianceReport): Html {
  return html`<section>
    <h2>Scope</h2>
    ${facts([
      ["Sources", sources.map(({ name }) => name).join(", ")],
      ["Sources not in this report", cover.scope.notIncluded.length === 0 ? NONE : cover.scope.notIncluded.join(", ")],
      ["Period", html`from ${time(cover.period.from)} (inclusive) to ${time(cover.period.to)} (exclusive)`],
      ["Measured until", time(cover.measuredUntil)],
      ["Generated", html`${time(cover.generatedAt)} by Holdfast ${cover.programVersion}`],
      ["Evidence log", evidence(cover.evidence)],
    ])}
  </section>`;
}

function evidence({ head, includedSequence, complete }: EvidenceState): Html {
  if (head === null) return UNKNOWN;
  const included = complete === true ? "all of them are in the figures" : `the figures are made from the first ${includedSequence ?? 0}`;
  return html`${head.sequence} entries of writer <code>${head.writer}</code>, the last with SHA-256 <code>${head.sha256}</code>; ${included}`;
}

function tiers({ summary: all }: ComplianceReport): Html {
  return html`<section>
    <h2>By tier</h2>
    ${table({
      caption: "Objectives and drills by tier",
      columns: ["Tier", "Sources#", "RPO held#", "RPO breached#", "RPO not evidenced#", "RTO held#", "RTO breached#", "RTO not evidenced#", "Drills run#", "Failed#", "Missed#"],
      rows: all.map(({ tier, sources, recoveryPoint, recoveryTime, drills }) => [
        tier,
        ...[
          sources,
          recoveryPoint.held,
          recoveryPoint.breached,
          recoveryPoint.not_evidenced,
          recoveryTime.held,
          recoveryTime.breached,
          recoveryTime.not_evidenced,
          drills.run,
          drills.failed,
          drills.missed,
        ].map(count),
      ]),
      empty: "no source is in scope",
    })}
  </section>`;
}

function controls(all: readonly ControlResult[]): Html {
  return html`<section>
    <h2>Control matrix</h2>
    <p>
      Each row says which control the evidence supports, and how well. The wording is a paraphrase. <q>Not evidenced</q> means that no record shows it, which is not the same as not
      applicable.
    </p>
    ${table({
      caption: "Supports evidence for",
      columns: ["Framework", "Control", "Asks", "Status", "Artefacts", "Why", "Not shown here"],
      rows: all.map(({ framework, control, asks, status, artefacts, bySource, notShown }) => [
        framework,
        html`<strong>${control}</strong>`,
        asks,
        statusBadge(status),
        artefacts.join(", "),
        why(status, bySource),
        notShown,
      ]),
      empty: "no control is mapped",
    })}
  </section>`;
}

const MOST_REASONS = 3;

/** What decided the status: the worst results, by source. */
function why(status: ControlResult["status"], bySource: ControlResult["bySource"]): HtmlValue {
  const deciding = bySource.filter((result) => result.status === status);
  const shown = deciding.slice(0, MOST_REASONS).map(({ source, rule, reason }) => html`<b>${source}</b>: ${status === "effective" ? RULES[rule] : reason}`);
  if (shown.length === 0) return "no source is in scope";
  return list(deciding.length > MOST_REASONS ? [...shown, `and ${deciding.length - MOST_REASONS} more`] : shown);
}

function drillRegister(drills: readonly DrillRecord[]): Html {
  return html`<section>
    <h2>Drill register</h2>
    ${table({
      caption: "Every drill, and every slot for one",
      columns: ["Slot", "Began", "Source", "Outcome", "Point", "Copy", "Backup", "Reached LSN", "RTO#", "RPO#", "Checks", "Why"],
      rows: drills.map((drill) => [
        slotOf(drill),
        drill.outcome === "missed" ? NONE : time(drill.startedAt),
        drill.source,
        outcomeBadge(drill.verdict ?? drill.outcome),
        drill.target ?? NONE,
        drill.repository ?? NONE,
        drill.backupId === null ? NONE : html`<code>${drill.backupId}</code>`,
        drill.achievedLsn ?? NONE,
        duration(drill.rtoActualSeconds, NONE),
        duration(drill.rpoActualSeconds, NONE),
        drill.checks.length === 0 ? NONE : `${drill.checks.filter(({ outcome }) => outcome === "pass").length} of ${drill.checks.length} passed`,
        drill.reason ?? NOTHING,
      ]),
      empty: "no drill, and no slot for one, is on record in the period",
    })}
  </section>`;
}

/** A page with more rows is no longer one that can be read or printed. */
const MOST_RUNS = 2000;
/** Work that comes every few minutes: on the page only where it did not succeed. */
const ROUTINE: readonly string[] = ["expire", "log"];

function runPopulation(all: readonly RunRecord[]): Html {
  const runs = all.filter(({ operation, outcome }) => !(ROUTINE.includes(operation) && outcome === "succeeded")).slice(0, MOST_RUNS);
  const note =
    runs.length < all.length
      ? html`<p>${runs.length} of ${all.length} records. Left out are successful runs of expire and log, and what goes beyond ${MOST_RUNS} rows; the JSON has every one.</p>`
      : NOTHING;
  return html`<section>
    <h2>Run population</h2>
    ${note}${table({
      caption: "Every run, and every slot that was passed over",
      columns: ["Slot", "Began", "Source", "Work", "By", "Outcome", "Slots#", "Took#", "Backup", "Why"],
      rows: runs.map((run) => [
        slotOf(run),
        run.outcome === "missed" || run.outcome === "superseded" || run.outcome === "skipped" ? NONE : time(run.startedAt),
        run.source,
        run.type === null || run.type === run.operation ? run.operation : `${run.type} ${run.operation}`,
        run.trigger,
        outcomeBadge(run.outcome),
        count(run.slots),
        duration(run.durationSeconds, NONE),
        run.backupId === null ? NONE : html`<code>${run.backupId}</code>`,
        run.reason ?? NOTHING,
      ]),
      empty: "nothing is on record in the period",
    })}
  </section>`;
}

function slotOf({ scheduledFor, until }: { scheduledFor: string | null; until?: string | null }): Html {
  return until === undefined || until === null ? time(scheduledFor) : html`${time(scheduledFor)} to ${time(until)}`;
}

function closing({ limits }: ComplianceReport): Html {
  return html`<section>
    <h2>What this cannot show, and how to check it</h2>
    ${list(limits)}
    <p>
      The objective badges mean: ${objectiveBadge("held")} measured, and kept whenever it was seen; ${objectiveBadge("breached")} seen beyond the objective at least once;
      ${objectiveBadge("not_evidenced")} not measured, or not for long enough.
    </p>
    <p>
      If <code>report.json</code> lies beside this page, it has the same figures, exact and complete. If <code>report.dsse.json</code> lies there, it is a DSSE envelope over an
      in-toto statement that names the SHA-256 of each file: check it against a public key that you received another way, never against one that came with the report.
    </p>
  </section>`;
}
