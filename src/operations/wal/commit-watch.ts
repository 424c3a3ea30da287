import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../postgres/connection.ts";
import type { ConnectionTarget } from "../../postgres/connection.ts";
import { readCommitWait } from "../../postgres/synchronous-standbys.ts";

/** The setting is changed by a reload, at any time: until we notice, commits wait as long as parts take otherwise. */
const LOOK_EVERY_MS = 20_000;

/** Knows whether commits of a server wait for its stream: asked when the stream begins, and again from time to time. */
export class CommitWatch implements AsyncDisposable {
  readonly #source: ConnectionTarget;
  readonly #stopper = new AbortController();
  readonly #looking: Promise<void>;
  #isWaiting: boolean;

  constructor(source: ConnectionTarget, isWaiting: boolean) {
    this.#source = source;
    this.#isWaiting = isWaiting;
    this.#looking = this.#look();
  }

  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopper.abort();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopper;
    for (;;) {
      await sleep(LOOK_EVERY_MS, null, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await using connection = await connect(this.#source, { purpose: "wal" });
        this.#isWaiting = (await readCommitWait(connection.client)) !== "none";
      } catch {
        // What was so is taken to be so: if the server is gone, the stream knows.
      }
    }
  }
}
