import { readSnapshot } from "../catalog/snapshots.ts";
import type { SourceInfo } from "../domain/source-info.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { BesideOptions } from "./beside.ts";

/** How often the picture of a source is looked at: it is read from the catalog, and nothing else is. */
const LOOK_EVERY_MS = 5000;
/** A stream brings what is missing by itself, a little later. What is missing for longer needs somebody. */
const WAL_PATIENCE_MS = 60_000;
const PAUSE_MS = { least: 15_000, most: 15 * 60_000 } as const;

interface SourceState {
  nextLookMs: number;
  notBeforeMs: number;
  pauseMs: number;
  /** Since when some repository lacks WAL that another holds; null while none does. */
  lacksWalSinceMs: number | null;
}

/**
 * Copies that lack what others hold are brought up to date, beside all other work of their source: whether there is something to do is seen in what was last observed. After a failure, and where a
 * job found nothing that it could do, the next comes ever later.
 */
export class Copying {
  readonly #options: BesideOptions;
  readonly #sources = new Map<string, SourceState>();

  constructor(options: BesideOptions) {
    this.#options = options;
  }

  keep(source: SourceConfig): void {
    const { clock, workers, catalog } = this.#options;
    const now = clock.monotonicMs();
    const state = this.#stateOf(source.name, now);
    if (now < state.nextLookMs || now < state.notBeforeMs || workers.isRunning(nameOf(source))) return;
    state.nextLookMs = now + LOOK_EVERY_MS;
    if (this.#isDue(state, readSnapshot(catalog, source.name)?.info ?? null, now)) this.#launch(source, state);
  }

  #stateOf(name: string, now: number): SourceState {
    const state = this.#sources.get(name) ?? { nextLookMs: now, notBeforeMs: now, pauseMs: PAUSE_MS.least, lacksWalSinceMs: null };
    this.#sources.set(name, state);
    return state;
  }

  #isDue(state: SourceState, info: SourceInfo | null, now: number): boolean {
    const lagging = info?.lagging ?? [];
    const lacksWal = lagging.some(({ walSegments }) => walSegments > 0);
    state.lacksWalSinceMs = lacksWal ? (state.lacksWalSinceMs ?? now) : null;
    return lagging.some(({ backups }) => backups.length > 0) || (state.lacksWalSinceMs !== null && now - state.lacksWalSinceMs >= WAL_PATIENCE_MS);
  }

  #launch(source: SourceConfig, state: SourceState): void {
    const { workers, jobFile, clock, log, inventoryFile } = this.#options;
    state.notBeforeMs = Number.POSITIVE_INFINITY;
    const task = { source: source.name, operation: "copy", slot: null, command: null };
    workers
      .run(nameOf(source), jobFile("copy"), { config: inventoryFile, task })
      .then((end) => {
        log(end.kind === "result" ? "job finished" : "job failed", { source: source.name, operation: "copy", ...(end.kind === "result" ? {} : { message: end.message }) });
        // Each time it is still needed it comes later: also where it ends well and changes nothing.
        state.pauseMs = end.kind === "result" && state.lacksWalSinceMs === null ? PAUSE_MS.least : Math.min(PAUSE_MS.most, state.pauseMs * 2);
        state.notBeforeMs = clock.monotonicMs() + state.pauseMs;
      })
      .catch((error: unknown) => log("job could not be run", { source: source.name, operation: "copy", error: String(error) }));
  }
}

function nameOf(source: SourceConfig): string {
  return `${source.name}.copy`;
}
