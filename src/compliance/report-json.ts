import type { StreamedReport } from "../domain/compliance.ts";

/** The records of a report as they stand in its JSON: lines by `recordLine`, one after the other. */
export interface RecordLines {
  readonly runs: Iterable<string | Buffer>;
  readonly drills: Iterable<string | Buffer>;
}

/** A report as JSON, piece by piece: a year of many sources is longer than a text can be. Each record of the population is a line; they may have been made before. */
export function* jsonPieces(report: StreamedReport, records: RecordLines = linesOf(report)): Generator<string | Buffer> {
  // Inside a text every quotation mark is escaped, so that this can only be ours.
  const [before = "", rest = ""] = JSON.stringify({ ...report, sources: null, population: null }, null, 2).split('\n  "sources": null');
  const [between = "", after = ""] = rest.split('\n  "population": null');
  yield `${before}\n  "sources": [`;
  for (const [index, source] of report.sources.entries()) yield `${index === 0 ? "" : ","}\n    ${JSON.stringify(source, null, 2).replaceAll("\n", "\n    ")}`;
  yield `${report.sources.length > 0 ? "\n  " : ""}]${between}\n  "population": {\n    "runs": [`;
  yield* records.runs;
  yield `${report.population.runs.length > 0 ? "\n    " : ""}],\n    "drills": [`;
  yield* records.drills;
  yield `${report.population.drills.length > 0 ? "\n    " : ""}]\n  }${after}\n`;
}

/** One record. */
export function recordLine(record: object, isFirst: boolean): string {
  return `${isFirst ? "" : ","}\n      ${JSON.stringify(record)}`;
}

function linesOf({ population }: StreamedReport): RecordLines {
  return { runs: lines(population.runs), drills: lines(population.drills) };
}

function* lines(records: Iterable<object>): Generator<string> {
  let isFirst = true;
  for (const record of records) {
    yield recordLine(record, isFirst);
    isFirst = false;
  }
}
