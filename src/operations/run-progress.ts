import type { Catalog } from "../catalog/catalog.ts";
import { saveProgress } from "../catalog/run-progress.ts";
import type { OperationContext, Progress } from "./context.ts";

/** Often enough to watch, seldom enough to cost nothing. */
const TELL_EVERY_MS = 1000;

/** The same context, which also tells whoever watches the run elsewhere (API, dashboard) how far it is: at most once a second. */
export function tellingProgress(catalog: Catalog, run: string, context: OperationContext): OperationContext {
  const { clock } = context;
  let toldMs = Number.NEGATIVE_INFINITY;
  const onProgress = (progress: Progress): void => {
    context.onProgress(progress);
    const nowMs = clock.monotonicMs();
    if (nowMs - toldMs < TELL_EVERY_MS) return;
    toldMs = nowMs;
    try {
      saveProgress(catalog, run, { at: clock.now().toISOString(), ...progress });
    } catch {
      // A catalog that cannot be written keeps nobody from the work itself: the run says so where it must, when it puts its end on record.
    }
  };
  return { ...context, onProgress };
}
