import { newRunId } from "../operations/installation.ts";
import { recordRun } from "../operations/record-run.ts";
import { tellingProgress } from "../operations/run-progress.ts";
import type { Reading, Tools } from "./action.ts";

/** A restore, on record and watched by whoever looks at the dashboard, where there is an installation to keep the record. Without one it is just done. */
export async function recordedRestore<T>(reading: Reading, tools: Tools, act: (tools: Tools) => Promise<T>, figuresOf: (value: T) => object): Promise<T> {
  const { app } = reading;
  if (app === null) return act(tools);
  const spec = { id: newRunId(app.clock), source: reading.name, operation: "restore", type: null, trigger: "manual" as const, scheduledFor: null };
  const watched = { ...tools, context: tellingProgress(app.catalog, spec.id, tools.context) };
  return recordRun(app.journal, spec, async () => {
    const value = await act(watched);
    return { outcome: "succeeded", reason: null, figures: figuresOf(value), value };
  });
}
