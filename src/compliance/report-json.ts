import type { StreamedReport } from "../domain/compliance.ts";

/** A report as JSON, piece by piece: a year of many sources is longer than a text can be. Each record of the population is a line. */
export function* jsonPieces(report: StreamedReport): Generator<string> {
  // Inside a text every quotation mark is escaped, so that this can only be ours.
  const [before = "", after = ""] = JSON.stringify({ ...report, population: null }, null, 2).split('\n  "population": null');
  yield `${before}\n  "population": {\n    "runs": [`;
  yield* lines(report.population.runs);
  yield `],\n    "drills": [`;
  yield* lines(report.population.drills);
  yield `]\n  }${after}\n`;
}

function* lines(records: Iterable<object>): Generator<string> {
  let before = "";
  for (const record of records) {
    yield `${before}\n      ${JSON.stringify(record)}`;
    before = ",";
  }
  if (before !== "") yield "\n    ";
}
