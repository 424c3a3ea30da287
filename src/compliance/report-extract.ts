import type { ComplianceReport, SourceReport } from "../domain/compliance.ts";
import { MostTelling } from "../domain/control-population.ts";
import type { DrillRecord, RunRecord, Told } from "../domain/control-population.ts";
import { compareStatus } from "../domain/control-status.ts";

/** What goes by while the figures of a report are made: every record, and every source when its own are made. */
export interface ReportSink {
  run(record: RunRecord): void;
  drill(record: DrillRecord): void;
  source(report: SourceReport): void;
}

/** Of what is long in a report, what a page or a paper shows. */
export interface ReportExtract {
  readonly chapters: readonly SourceReport[];
  readonly runs: Told<RunRecord>;
  readonly drills: Told<DrillRecord>;
}

/** A page with more chapters no browser shows and nobody reads. */
const MOST_CHAPTERS = 50;
/** A page with more rows is no longer one that can be read or printed. */
const MOST_ROWS = 2000;

/** Makes the extract as the report goes by. */
export class ExtractMaker implements ReportSink {
  readonly #runs = new MostTelling<RunRecord>(MOST_ROWS, isOdd);
  readonly #drills = new MostTelling<DrillRecord>(MOST_ROWS, ({ verdict }) => verdict !== "pass");
  /** The worst first, and among equals those that came first. */
  readonly #worst: { readonly index: number; readonly report: SourceReport }[] = [];
  #sources = 0;

  run(record: RunRecord): void {
    this.#runs.take(record);
  }

  drill(record: DrillRecord): void {
    this.#drills.take(record);
  }

  source(report: SourceReport): void {
    const worse = this.#worst.findLastIndex((other) => compareStatus(other.report.status, report.status) <= 0);
    this.#worst.splice(worse + 1, 0, { index: this.#sources++, report });
    if (this.#worst.length > MOST_CHAPTERS) this.#worst.pop();
  }

  extract(): ReportExtract {
    const chapters = this.#sources <= MOST_CHAPTERS ? this.#worst.toSorted((a, b) => a.index - b.index) : this.#worst;
    return { chapters: chapters.map(({ report }) => report), runs: this.#runs.told(), drills: this.#drills.told() };
  }
}

/** That of a report that is in memory. */
export function extractOf({ sources, population }: ComplianceReport): ReportExtract {
  const maker = new ExtractMaker();
  for (const source of sources) maker.source(source);
  for (const run of population.runs) maker.run(run);
  for (const drill of population.drills) maker.drill(drill);
  return maker.extract();
}

function isOdd({ outcome }: RunRecord): boolean {
  return outcome !== "succeeded" && outcome !== "superseded";
}
