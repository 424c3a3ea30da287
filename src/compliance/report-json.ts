import type { ComplianceReport, ReportFigures } from "../domain/compliance.ts";

/** What is long in a report as it stands in its JSON: lines by `recordLine`, one after the other. */
export interface ReportLines {
  readonly sources: Iterable<string | Buffer>;
  readonly runs: Iterable<string | Buffer>;
  readonly drills: Iterable<string | Buffer>;
}

/** A report as JSON, piece by piece: a year of many sources is longer than a text can be. Each source and each record of the population is a line; they may have been made before. */
export function* jsonPieces(report: ReportFigures, long: ReportLines): Generator<string | Buffer> {
  // Inside a text every quotation mark is escaped, so that this can only be ours.
  const [before = "", rest = ""] = JSON.stringify({ ...report, sources: null, controls: null, population: null }, null, 2).split('\n  "sources": null');
  const [between = "", others = ""] = rest.split('\n  "controls": null');
  const [inFront = "", after = ""] = others.split('\n  "population": null');
  yield `${before}\n  "sources": `;
  yield* list(long.sources, report.sources.length, "  ");
  yield `${between}\n  "controls": `;
  yield* list(linesOf(report.controls), report.controls.length, "  ");
  yield `${inFront}\n  "population": {\n    "runs": `;
  yield* list(long.runs, report.population.runs.length, "    ");
  yield `,\n    "drills": `;
  yield* list(long.drills, report.population.drills.length, "    ");
  yield `\n  }${after}\n`;
}

/** The same of one that is in memory. */
export function jsonOf(report: ComplianceReport): Generator<string | Buffer> {
  const { sources, population } = report;
  return jsonPieces(report, { sources: linesOf(sources), runs: linesOf(population.runs), drills: linesOf(population.drills) });
}

function* list(lines: Iterable<string | Buffer>, length: number, indent: string): Generator<string | Buffer> {
  yield "[";
  yield* lines;
  yield length > 0 ? `\n${indent}]` : "]";
}

/** One of a list. */
export function recordLine(record: object, isFirst: boolean): string {
  return `${isFirst ? "" : ","}\n      ${JSON.stringify(record)}`;
}

function* linesOf(records: Iterable<object>): Generator<string> {
  let isFirst = true;
  for (const record of records) {
    yield recordLine(record, isFirst);
    isFirst = false;
  }
}
