import type { Completeness } from "./completeness.ts";
import type { ReportFigures } from "../domain/compliance.ts";
import type { HeldPopulation, RunRecord } from "../domain/control-population.ts";
import type { ListedSlot } from "./slot-list.ts";

/**
 * A report as tables (RFC 4180). The head of a column is the path of the value in the JSON; unknown is empty; a list is its items with a semicolon between them. Text that a spreadsheet would take for a formula has an
 * apostrophe before it.
 */
export interface CsvTable {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: Iterable<unknown>;
}

/** The tables of the records, which are written as they are read. */
export const RECORD_TABLES = { runs: "runs.csv", drills: "drills.csv" } as const;

/** The tables of the figures of a report. Each has its head also where it has no rows. */
export function csvTables(report: ReportFigures): CsvTable[] {
  const { sources } = report;
  return [
    { name: "summary.csv", columns: SUMMARY, rows: report.summary },
    { name: "sources.csv", columns: SOURCES, rows: sources },
    { name: "work.csv", columns: WORK, rows: sources.flatMap(({ name, backups, otherWork }) => [...backups, ...otherWork].map((work) => ({ source: name, ...work }))) },
    { name: "exposure.csv", columns: EXPOSURE, rows: sources.flatMap(({ name, exposure }) => exposure.map((copy) => ({ source: name, ...copy }))) },
    {
      name: "breaches.csv",
      columns: BREACHES,
      rows: sources.flatMap(({ name, exposure }) => exposure.flatMap(({ repository, breaches }) => breaches.map((breach) => ({ source: name, repository, ...breach })))),
    },
    {
      name: "restatements.csv",
      columns: RESTATEMENTS,
      rows: sources.flatMap(({ name, exposure }) => exposure.flatMap(({ restatements }) => restatements.map((each) => ({ source: name, ...each })))),
    },
    { name: "findings.csv", columns: FINDINGS, rows: report.findings },
    { name: "controls.csv", columns: CONTROLS, rows: report.controls },
  ];
}

/** Those of its records, where they are in memory. */
export function recordTables({ drills, runs }: HeldPopulation): CsvTable[] {
  return [
    { name: RECORD_TABLES.drills, columns: DRILLS, rows: drills },
    { name: RECORD_TABLES.runs, columns: RUNS, rows: runs },
  ];
}

export function completenessTable(rows: readonly Completeness[]): CsvTable {
  return { name: "completeness.csv", columns: ["source", "operation", "type", "promised", "onRecord", "unaccounted"], rows };
}

export function slotTable(rows: Iterable<ListedSlot>): CsvTable {
  return { name: "slots.csv", columns: ["source", "operation", "type", "slot", "outcome", "attempts", "record", "reason"], rows };
}

export function sampleTable(rows: readonly RunRecord[]): CsvTable {
  return { name: "sample.csv", columns: RUNS, rows };
}

const VERDICTS = ["held", "breached", "not_evidenced"];
const under = (parent: string, names: readonly string[]): string[] => names.map((name) => `${parent}.${name}`);

const SUMMARY = [
  "tier",
  "sources",
  ...under("recoveryPoint", VERDICTS),
  ...under("recoveryTime", VERDICTS),
  ...under("drills", ["due", "run", "passed", "failed", "inconclusive", "missed"]),
];
const SOURCES = [
  "name",
  "tier",
  "dataClass",
  "policy",
  "systemIdentifier",
  "objectives.rtoSeconds",
  "objectives.rpoSeconds",
  "status",
  "recoveryPoint",
  ...under("recoveryTime", ["verdict", "lastSeconds", "maxSeconds"]),
  ...under("drills", ["due", "run", "passed", "passedWithWarnings", "failed", "inconclusive", "withoutVerdict", "missed", "unaccounted"]),
  ...under("drills", ["failureProbabilityUpperBound95", "withoutLaterPass", "last.run", "last.at", "last.verdict"]),
  "seenAt",
];
const WORK = [
  "source",
  "operation",
  "type",
  "due",
  "succeeded",
  "failed",
  "cancelled",
  "interrupted",
  "missed",
  "superseded",
  "running",
  "unscheduled",
  "unaccounted",
  "lastSuccessAt",
  "withoutLaterSuccess",
];
const EXPOSURE = [
  "source",
  "repository",
  "objectiveApplies",
  "verdict",
  "objectiveSeconds",
  "samples",
  "worst.seconds",
  "worst.at",
  "last.seconds",
  "last.at",
  "withinObjectiveShare",
  "beyondObjectiveShare",
  "unobservedShare",
];
const BREACHES = ["source", "repository", "from", "to", "peakSeconds", "end"];
const RESTATEMENTS = ["source", "repository", "from", "until", "knownAt", "timeline", "startLsn", "endLsn"];
const FINDINGS = ["severity", "kind", "source", "repository", "at", "detail", "references"];
const CONTROLS = ["framework", "control", "asks", "status", "artefacts", "notShown"];
export const DRILLS = [
  "run",
  "source",
  "scheduledFor",
  "slots",
  "startedAt",
  "finishedAt",
  "outcome",
  "reason",
  "verdict",
  "repository",
  "backupId",
  "target",
  "seed",
  "expectedLsn",
  "achievedLsn",
  "rtoActualSeconds",
  "rtoObjectiveSeconds",
  "rpoActualSeconds",
  "rpoObjectiveSeconds",
  "checks",
  "segregation.sameMachine",
  "segregation.drillHost",
  "segregation.reason",
];
export const RUNS = [
  "id",
  "source",
  "operation",
  "type",
  "trigger",
  "scheduledFor",
  "slots",
  "until",
  "startedAt",
  "finishedAt",
  "durationSeconds",
  "outcome",
  "reason",
  "backupId",
];

const LINE_END = "\r\n";

export function* csvLines({ columns, rows }: CsvTable): Generator<string> {
  yield csvHead(columns);
  const toLine = rowWriter(columns);
  for (const row of rows) yield toLine(row);
}

export function csvHead(columns: readonly string[]): string {
  return columns.join(",") + LINE_END;
}

/** What makes a line of a row. */
export function rowWriter(columns: readonly string[]): (row: unknown) => string {
  const paths = columns.map((column) => column.split("."));
  return (row) => paths.map((path) => cell(valueAt(row, path))).join(",") + LINE_END;
}

function valueAt(row: unknown, path: readonly string[]): unknown {
  let value = row;
  for (const name of path) value = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return value;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text =
    typeof value === "string" ? value : Array.isArray(value) ? value.map((item) => (typeof item === "string" ? item : JSON.stringify(item))).join("; ") : JSON.stringify(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
