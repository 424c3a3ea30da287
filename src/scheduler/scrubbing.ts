import { readSnapshot } from "../catalog/snapshots.ts";
import { mayBegin } from "../domain/window.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { BesideOptions } from "./beside.ts";

/** Slices of different sources at once: reading is for later, and must not fill the machine. */
const MOST_AT_ONCE = 2;

/** The first look at WAL after a start does not wait for its whole interval: a process that is started often would never look. */
const FIRST_WAL_MS = 60_000;

/** Between slices, and after one that failed. */
const PAUSE_MS = { slice: 10_000, failure: 300_000 } as const;

interface SourceState {
  notBeforeMs: number;
  nextWalMs: number;
  /** How far WAL reached, in all copies together, when it was verified last. */
  walVerifiedTo: string | null;
}

/**
 * Verification in the background, beside all other work: WAL that came since is verified after the policy's interval, where there is any; and where the policy gives the scrub a budget, one slice
 * follows the other, in the windows for heavy work. Which pieces a slice reads is decided by the ledger, so nothing here needs to be remembered.
 */
export class Scrubbing {
  readonly #options: BesideOptions;
  readonly #sources = new Map<string, SourceState>();
  #running = 0;

  constructor(options: BesideOptions) {
    this.#options = options;
  }

  keep(source: SourceConfig, isPaused: boolean): void {
    const { verify } = source.policy;
    const { clock, workers } = this.#options;
    const now = clock.monotonicMs();
    if (verify === null || isPaused || this.#running >= MOST_AT_ONCE) return;
    const state = this.#stateOf(source.name, now, verify.walSeconds);
    if (now < state.notBeforeMs || workers.isRunning(nameOf(source))) return;
    const scrubs = verify.scrub !== null && this.#isInWindow(source);
    const reach = now >= state.nextWalMs ? this.#walReach(source.name) : null;
    if (now >= state.nextWalMs) state.nextWalMs = now + verify.walSeconds * 1000;
    if (!scrubs && (reach === null || reach === state.walVerifiedTo)) return;
    state.walVerifiedTo = reach ?? state.walVerifiedTo;
    this.#launch(source, state, scrubs);
  }

  #stateOf(name: string, now: number, walSeconds: number): SourceState {
    const state = this.#sources.get(name) ?? { notBeforeMs: now, nextWalMs: now + Math.min(FIRST_WAL_MS, walSeconds * 1000), walVerifiedTo: null };
    this.#sources.set(name, state);
    return state;
  }

  /** Scrubs begin in the windows of heavy work, and not in a blackout. */
  #isInWindow({ policy }: SourceConfig): boolean {
    const { heavy, blackout } = policy.windows;
    return mayBegin("full", { heavy, blackout: blackout.map(({ window }) => window) }, { hasBackup: true, now: this.#options.clock.now() });
  }

  /** How far WAL reaches by the last observation; null where nothing was observed. */
  #walReach(source: string): string | null {
    const exposure = readSnapshot(this.#options.catalog, source)?.info.exposure ?? [];
    const known = exposure.flatMap(({ repository, recoverableLsn = null }) => (recoverableLsn === null ? [] : [`${repository} ${recoverableLsn}`]));
    return known.length === 0 ? null : known.join(", ");
  }

  #launch(source: SourceConfig, state: SourceState, scrubs: boolean): void {
    const { workers, jobFile, clock, log, inventoryFile } = this.#options;
    this.#running++;
    const task = { source: source.name, operation: "verify", type: scrubs ? null : "log", slot: null, command: null };
    workers
      .run(nameOf(source), jobFile("scrub"), { config: inventoryFile, task })
      .then((end) => {
        if (end.kind !== "result") log("job failed", { source: source.name, operation: "scrub", message: end.message });
        if (end.kind !== "result") state.walVerifiedTo = null;
        state.notBeforeMs = clock.monotonicMs() + (end.kind === "result" ? PAUSE_MS.slice : PAUSE_MS.failure);
      })
      .catch((error: unknown) => log("job could not be run", { source: source.name, operation: "scrub", error: String(error) }))
      .finally(() => this.#running--);
  }
}

function nameOf(source: SourceConfig): string {
  return `${source.name}.scrub`;
}
