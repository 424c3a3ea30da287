import { formatSeconds } from "../domain/duration.ts";
import { FINDING_SEVERITIES } from "../domain/compliance.ts";
import type { ReportFigures, SourceLine } from "../domain/compliance.ts";
import { MostTelling } from "../domain/control-population.ts";
import type { DrillRecord } from "../domain/control-population.ts";
import { PdfPages } from "./pdf-page.ts";
import type { ReportExtract } from "./report-extract.ts";
import { formatTime } from "./report-format.ts";

/** The report on paper: summary, findings, breaches, sources, drills and controls. The population is in CSV and JSON. */
export async function renderPdf(report: ReportFigures, { drills }: ReportExtract): Promise<Buffer> {
  const { cover } = report;
  const title = `${formatTime(cover.period.from).slice(0, 16)} to ${formatTime(cover.period.to).slice(0, 16)}`;
  const pages = new PdfPages({ title: `Backup and recovery evidence, ${title}`, at: new Date(cover.generatedAt) });
  pages.title(title, "Holdfast · backup and recovery evidence");
  pages.paragraph(
    `${words(report.status)} over all sources. All times are UTC. The report supports evidence for the controls it names; it does not state that anybody complies with them.`,
  );
  writeScope(pages, report);
  writeSummary(pages, report);
  writeFindings(pages, report);
  writeSources(pages, report.sources);
  writeDrills(pages, drills);
  writeControls(pages, report);
  pages.heading("What this cannot show, and how to check it");
  for (const limit of report.limits) pages.paragraph(limit);
  pages.paragraph(
    "report.dsse.json, if it lies beside this file, names the SHA-256 of each file of the report and is signed: check it against a public key that you received another way ('holdfast evidence verify').",
  );
  return pages.end();
}

function writeScope(pages: PdfPages, { cover, sources }: ReportFigures): void {
  const { head, complete, includedSequence } = cover.evidence;
  const included = complete === true ? "all of them are in the figures" : `the figures are made from the first ${includedSequence ?? 0}`;
  pages.facts([
    ["Sources", `${sources.length}${sources.length <= MOST_NAMED ? ` (${sources.map(({ name }) => name).join(", ")})` : ""}`],
    ["Sources not in this report", cover.scope.notIncluded.length === 0 ? "none" : String(cover.scope.notIncluded.length)],
    ["Period", `from ${formatTime(cover.period.from)} (inclusive) to ${formatTime(cover.period.to)} (exclusive), measured until ${formatTime(cover.measuredUntil)}`],
    ...(cover.asOf === null ? [] : [["As of", `${formatTime(cover.asOf)}: what was on record by then, and nothing later`] as const]),
    ["Generated", `${formatTime(cover.generatedAt)} by Holdfast ${cover.programVersion}`],
    ["Evidence log", head === null ? "unknown" : `${head.sequence} entries of writer ${head.writer}, the last with SHA-256 ${head.sha256}; ${included}`],
  ]);
}

const MOST_NAMED = 20;

function writeSummary(pages: PdfPages, { summary }: ReportFigures): void {
  pages.heading("Summary");
  const names = ["Sources#", "RPO held#", "RPO breached#", "RPO not evidenced#", "RTO held#", "RTO breached#", "RTO not evidenced#"];
  const drills = ["Drills due#", "Run#", "Passed#", "Failed#", "Inconclusive#", "Missed#"];
  pages.table({
    caption: "Objectives and drills by tier",
    columns: [{ name: "Tier", share: 2 }, ...[...names, ...drills].map((name) => ({ name, share: 1 }))],
    rows: summary.map(({ tier, sources, recoveryPoint: point, recoveryTime: speed, drills: { due, run, passed, failed, inconclusive, missed } }) => [
      tier,
      ...[sources, point.held, point.breached, point.not_evidenced, speed.held, speed.breached, speed.not_evidenced, due, run, passed, failed, inconclusive, missed].map(String),
    ]),
    empty: "no source is in scope",
  });
}

/** More rows of a table are no longer read on paper; the CSV has every one. */
const MOST_ROWS = 1000;

function writeFindings(pages: PdfPages, { findings, sources }: ReportFigures): void {
  pages.heading(`Findings: ${findings.length}`);
  if (findings.length > MOST_ROWS) pages.paragraph(`The first ${MOST_ROWS}; findings.csv and the JSON have every one.`);
  pages.table({
    caption: "What has to be answered, the worst first",
    columns: columns(["Severity", 2], ["Source", 2], ["Copy", 1.5], ["Since", 2.2], ["Finding", 8]),
    rows: findings
      .toSorted((a, b) => FINDING_SEVERITIES.indexOf(a.severity) - FINDING_SEVERITIES.indexOf(b.severity))
      .slice(0, MOST_ROWS)
      .map(({ severity, source, repository, at, detail }) => [words(severity), source ?? "all", repository ?? "-", time(at), detail]),
    empty: "none",
  });
  pages.heading("Breaches of recovery point objectives");
  const breaches = sources.flatMap(({ name, exposure }) =>
    exposure.flatMap(({ repository, breaches: all, objectiveSeconds }) => all.map((breach) => ({ name, repository, objectiveSeconds, ...breach }))),
  );
  if (breaches.length > MOST_ROWS) pages.paragraph(`The ${MOST_ROWS} with the highest peaks of ${breaches.length}; breaches.csv and the JSON have every one.`);
  const shown = breaches.length > MOST_ROWS ? breaches.toSorted((a, b) => b.peakSeconds - a.peakSeconds).slice(0, MOST_ROWS) : breaches;
  pages.table({
    caption: "Exposure seen beyond the objective",
    columns: columns(["Source", 3], ["Copy", 2], ["From", 2.5], ["To", 2.5], ["Peak#", 1.5], ["Objective#", 1.5], ["Ended", 2]),
    rows: shown.map(({ name, repository, objectiveSeconds, from, to, peakSeconds, end }) => [
      name,
      repository,
      time(from),
      time(to),
      formatSeconds(peakSeconds),
      formatSeconds(objectiveSeconds),
      end,
    ]),
    empty: "none was seen",
  });
}

function writeSources(pages: PdfPages, sources: readonly SourceLine[]): void {
  pages.heading("Sources");
  pages.table({
    caption: "Each source over the period",
    columns: columns(
      ...([
        ["Source", 3],
        ["Tier", 1.6],
        ["Status", 2.2],
        ["RPO", 1.8],
        ["Objective#", 1.2],
        ["Worst seen#", 1.4],
        ["RTO", 1.8],
        ["Objective#", 1.2],
        ["Longest#", 1.4],
      ] as const),
      ...([
        ["Backups due#", 1.1],
        ["Done#", 1],
        ["Failed#", 1],
        ["Missed#", 1],
        ["Drills run#", 1],
        ["Missed#", 1],
      ] as const),
    ),
    rows: sources.map((source) => {
      const total = (of: "due" | "succeeded" | "failed" | "missed"): string => String(source.backups.reduce((sum, work) => sum + work[of], 0));
      const worst = source.exposure.flatMap((copy) => (copy.objectiveApplies && copy.worst !== null ? [copy.worst.seconds] : []));
      return [
        source.name,
        source.tier,
        words(source.status),
        words(source.recoveryPoint),
        formatSeconds(source.objectives.rpoSeconds),
        worst.length === 0 ? "unknown" : formatSeconds(Math.max(...worst)),
        words(source.recoveryTime.verdict),
        formatSeconds(source.objectives.rtoSeconds),
        source.recoveryTime.maxSeconds === null ? "unknown" : formatSeconds(source.recoveryTime.maxSeconds),
        total("due"),
        total("succeeded"),
        total("failed"),
        total("missed"),
        String(source.drills.run),
        String(source.drills.missed),
      ];
    }),
    empty: "no source is in scope",
  });
}

const MOST_DRILLS = 500;

function writeDrills(pages: PdfPages, drills: ReportExtract["drills"]): void {
  pages.heading(`Drill register: ${drills.length} on record`);
  if (drills.length > MOST_DRILLS) pages.paragraph(`The first ${MOST_DRILLS} of those that did not pass, and then of the others; drills.csv and the JSON have every one.`);
  const telling = new MostTelling<DrillRecord>(MOST_DRILLS, ({ verdict }) => verdict !== "pass");
  for (const drill of drills.shown) telling.take(drill);
  pages.table({
    caption: "Drills, and slots for one",
    columns: columns(["Slot", 2.3], ["Began", 2.3], ["Source", 2.5], ["Outcome", 2], ["Copy", 1.5], ["Backup", 3], ["RTO#", 1.2], ["RPO#", 1.2], ["Why", 5]),
    rows: telling
      .told()
      .shown.map((drill) => [
        time(drill.scheduledFor),
        drill.outcome === "missed" ? "-" : time(drill.startedAt),
        drill.source,
        words(drill.verdict ?? drill.outcome),
        drill.repository ?? "-",
        drill.backupId ?? "-",
        seconds(drill.rtoActualSeconds),
        seconds(drill.rpoActualSeconds),
        drill.reason ?? "",
      ]),
    empty: "no drill, and no slot for one, is on record in the period",
  });
}

function writeControls(pages: PdfPages, { controls }: ReportFigures): void {
  pages.heading("Controls");
  pages.paragraph("Each row says which control the evidence supports, and how well. Not evidenced means that no record shows it, which is not the same as not applicable.");
  pages.table({
    caption: "Supports evidence for",
    columns: columns(["Framework", 2], ["Control", 2], ["Asks", 5], ["Status", 2], ["Artefacts", 3], ["Not shown here", 4]),
    rows: controls.map(({ framework, control, asks, status, artefacts, notShown }) => [framework, control, asks, words(status), artefacts.join(", "), notShown]),
    empty: "no control is mapped",
  });
}

function columns(...all: readonly (readonly [string, number])[]): { name: string; share: number }[] {
  return all.map(([name, share]) => ({ name, share }));
}

function time(at: string | null): string {
  return at === null ? "-" : formatTime(at);
}

function seconds(value: number | null): string {
  return value === null ? "-" : formatSeconds(value);
}

function words(code: string): string {
  return code.replaceAll("_", " ");
}
