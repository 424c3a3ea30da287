import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";

/** How far a run that is going on has come, as it last said itself. Nobody's evidence: it is gone when the run has ended, and lost with the catalog. */
export interface RunProgress {
  readonly run: string;
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly at: string;
  readonly phase: string;
  readonly doneBytes: number;
  /** Null where it is not known. */
  readonly totalBytes: number | null;
}

export function saveProgress(catalog: Catalog, run: string, progress: Pick<RunProgress, "at" | "phase" | "doneBytes" | "totalBytes">): void {
  const { at, phase, doneBytes, totalBytes } = progress;
  // Only of a run that is going on: what is told late leaves nothing behind.
  catalog.run(
    `insert into run_progress (run, at, phase, done_bytes, total_bytes) select id, :at, :phase, :doneBytes, :totalBytes from runs where id = :run and outcome = 'running'
     on conflict (run) do update set at = excluded.at, phase = excluded.phase, done_bytes = excluded.done_bytes, total_bytes = excluded.total_bytes`,
    { run, at, phase, doneBytes: Math.round(doneBytes), totalBytes: totalBytes === null ? null : Math.round(totalBytes) },
  );
}

export function forgetProgress(catalog: Catalog, run: string): void {
  catalog.run("delete from run_progress where run = :run", { run });
}

/** Of all runs that are going on and have said something. */
export function readProgress(catalog: Catalog): RunProgress[] {
  return catalog
    .all(`select run_progress.*, source, operation, type from run_progress join runs on runs.id = run_progress.run where outcome = 'running' order by run_progress.at, run`)
    .map((row) => ({
      run: textOf(row, "run"),
      source: textOf(row, "source"),
      operation: textOf(row, "operation"),
      type: textOrNull(row, "type"),
      at: textOf(row, "at"),
      phase: textOf(row, "phase"),
      doneBytes: numberOrNull(row, "done_bytes") ?? 0,
      totalBytes: numberOrNull(row, "total_bytes"),
    }));
}
