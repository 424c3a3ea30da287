import { FINDING_SEVERITIES } from "../domain/compliance.ts";
import type { ComplianceReport, EvidenceState, FindingSeverity, ReportFigures } from "../domain/compliance.ts";
import type { ControlResult } from "../domain/control-status.ts";
import { RULES } from "../domain/control-map.ts";
import { counted } from "../domain/control-wording.ts";
import { html, Html, NOTHING } from "./html.ts";
import type { HtmlValue } from "./html.ts";
import { count, formatTime, NONE, time, UNKNOWN } from "./report-format.ts";
import { extractOf } from "./report-extract.ts";
import type { ReportExtract } from "./report-extract.ts";
import { drillRegister, runPopulation } from "./report-html-population.ts";
import { sourcesTable } from "./report-html-sources.ts";
import { sourceChapter } from "./report-html-source.ts";
import { facts, list, objectiveBadge, severityBadge, statusBadge, table, tile } from "./report-parts.ts";
import { REPORT_STYLE } from "./report-style.ts";

/** The report as one page that needs nothing else: no script, no font, no picture from elsewhere. The same figures as the JSON. */
export function renderReport(report: ComplianceReport): string {
  return [...pagePieces(report, extractOf(report))].join("");
}

/** The same, piece by piece. */
export function* pagePieces(report: ReportFigures, extract: ReportExtract): Generator<string> {
  const { cover } = report;
  const title = `Backup and recovery evidence, ${formatTime(cover.period.from).slice(0, 10)} to ${formatTime(cover.period.to).slice(0, 10)}`;
  const page = html`<!doctype html>
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
        <main>${Html.trusted(BODY)}</main>
      </body>
    </html> `.toString();
  const [before = "", after = ""] = page.split(BODY);
  yield before;
  for (const part of bodyParts(report, extract)) yield part.toString();
  yield after;
}

/** Where the body comes, which is made piece by piece. */
const BODY = "<!-- body -->";

/** What it says, without the page around it: the dashboard shows it inside of its own. */
export function reportBody(report: ComplianceReport): Html {
  return html`${[...bodyParts(report, extractOf(report))]}`;
}

function* bodyParts(report: ReportFigures, { chapters, drills, runs }: ReportExtract): Generator<Html> {
  const { cover, sources } = report;
  yield html`<header>
      <p class="kind">Holdfast · backup and recovery evidence</p>
      <h1>${formatTime(cover.period.from).slice(0, 16)} <span class="dash">to</span> ${formatTime(cover.period.to).slice(0, 16)}</h1>
      <p class="lead">
        ${statusBadge(report.status)} over all sources. All times are UTC. The report supports evidence for the controls it names; it does not state that anybody complies with
        them.
      </p>
    </header>
    ${summary(report)} ${findings(report)} ${coverFacts(report)} ${tiers(report)} ${sourcesTable(sources, chapters.length)}`;
  for (const source of chapters) yield sourceChapter(source, report);
  yield html`${controls(report.controls)} ${drillRegister(drills)} ${runPopulation(runs)} ${closing(report)}`;
}

function summary({ sources, findings: all, population }: ReportFigures): Html {
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

function findings({ findings: all }: ReportFigures): Html {
  const worstFirst = all.toSorted((a, b) => FINDING_SEVERITIES.indexOf(a.severity) - FINDING_SEVERITIES.indexOf(b.severity));
  const note = all.length > MOST_FINDINGS ? html`<p>The first ${MOST_FINDINGS} of ${count(all.length)}; the JSON has every one.</p>` : NOTHING;
  return html`<section>
    <h2>Findings</h2>
    ${note}${table({
      caption: "What has to be answered, the worst first",
      columns: ["Severity", "Source", "Copy", "Since", "Finding", "About"],
      rows: worstFirst
        .slice(0, MOST_FINDINGS)
        .map(({ severity, source, repository, at, detail, references }) => [
          severityBadge(severity),
          source ?? "all",
          repository ?? NONE,
          time(at),
          detail,
          references.length === 0
            ? NONE
            : html`<code
                >${references.slice(0, MOST_REFERENCES).join(", ")}${references.length > MOST_REFERENCES ? `, and ${references.length - MOST_REFERENCES} more` : ""}</code
              >`,
        ]),
      empty: "none",
    })}
  </section>`;
}

/** A page with more rows is no longer one that can be read or printed. */
const MOST_FINDINGS = 1000;
/** So many are worth reading in a table cell. */
const MOST_REFERENCES = 3;

function coverFacts({ cover, sources }: ReportFigures): Html {
  return html`<section>
    <h2>Scope</h2>
    ${facts([
      ["Sources", named(sources.map(({ name }) => name))],
      ["Sources not in this report", cover.scope.notIncluded.length === 0 ? NONE : named(cover.scope.notIncluded)],
      ["Period", html`from ${time(cover.period.from)} (inclusive) to ${time(cover.period.to)} (exclusive)`],
      ["Measured until", time(cover.measuredUntil)],
      ...(cover.asOf === null ? [] : [["As of", html`${time(cover.asOf)}: what was on record by then, and nothing later`] as const]),
      ["Generated", html`${time(cover.generatedAt)} by Holdfast ${cover.programVersion}`],
      ["Evidence log", evidence(cover.evidence)],
    ])}
  </section>`;
}

const MOST_NAMES = 50;

function named(names: readonly string[]): string {
  return names.length <= MOST_NAMES ? names.join(", ") : `${names.slice(0, MOST_NAMES).join(", ")}, and ${names.length - MOST_NAMES} more`;
}

function evidence({ head, includedSequence, complete }: EvidenceState): Html {
  if (head === null) return UNKNOWN;
  const included = complete === true ? "all of them are in the figures" : `the figures are made from the first ${includedSequence ?? 0}`;
  return html`${head.sequence} entries of writer <code>${head.writer}</code>, the last with SHA-256 <code>${head.sha256}</code>; ${included}`;
}

function tiers({ summary: all }: ReportFigures): Html {
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

function closing({ limits }: ReportFigures): Html {
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
