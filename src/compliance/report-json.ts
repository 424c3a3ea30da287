import type { StreamedReport } from "../domain/compliance.ts";

/** The records of a report as they stand in its JSON: lines by `recordLine`, one after the other. */
export interface RecordLines {
  readonly runs: Iterable<string | Buffer>;
  readonly drills: Iterable<string | Buffer>;
}

/** A report as JSON, piece by piece: a year of many sources is longer than a text can be. Each record of the population is a line; they may have been made before. */
export function* jsonPieces(report: StreamedReport, records: RecordLines = linesOf(report)): Generator<string | Buffer> {
  // Inside a text every quotation mark is escaped, so that this can only be ours.
  const [before = "", after = ""] = JSON.stringify({ ...report, population: null }, null, 2).split('\n  "population": null');
  yield `${before}\n  "population": {\n    "runs": [`;
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
