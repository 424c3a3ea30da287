import { rm } from "node:fs/promises";
import { join } from "node:path";
import { must } from "../../src/errors.ts";
import { startOnFolder } from "./cluster.ts";
import type { CopyRecorder, Moment } from "./copy-recorder.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import type { Site } from "./site.ts";
import type { Acknowledged } from "./writer.ts";

export interface Truth {
  /** Seconds; how old the oldest commit was that could not be brought back. */
  readonly exposure: number;
  /** When it had been promised, in milliseconds; null: nothing was missing. */
  readonly oldestMissing: number | null;
}

export interface TruthOptions {
  readonly site: Site;
  readonly binaries: PostgresBinaries;
  readonly recorder: CopyRecorder;
  /** All that was ever promised. */
  readonly acknowledged: readonly Acknowledged[];
}

/** How exposed a copy was at a moment, by somebody who does not ask: what it held then is restored, and compared with what was promised. */
export class CopyTruth {
  readonly #options: TruthOptions;
  readonly #known = new Map<Moment, Truth>();
  #restores = 0;

  constructor(options: TruthOptions) {
    this.#options = options;
  }

  get moments(): readonly Moment[] {
    return this.#options.recorder.moments;
  }

  momentAt(atMs: number): Moment {
    return must(
      this.moments.findLast((moment) => moment.at.getTime() <= atMs),
      `something recorded by ${new Date(atMs).toISOString()}`,
    );
  }

  async at(moment: Moment): Promise<Truth> {
    const known = this.#known.get(moment);
    if (known !== undefined) return known;
    const there = await this.#broughtBack(moment);
    const missing = this.#options.acknowledged.filter(({ sequence, at }) => at <= moment.at && !there.has(sequence)).map(({ at }) => at.getTime());
    const oldestMissing = missing.length === 0 ? null : Math.min(...missing);
    const truth = { exposure: oldestMissing === null ? 0 : (moment.at.getTime() - oldestMissing) / 1000, oldestMissing };
    this.#known.set(moment, truth);
    return truth;
  }

  /** The numbers of the writes that a restore to latest brings back. */
  async #broughtBack(moment: Moment): Promise<ReadonlySet<number>> {
    const { site, binaries, recorder } = this.#options;
    const own = `${moment.at.getTime()}-${++this.#restores}`;
    const [repository, target] = [join(site.folder, `then-${own}`), join(site.folder, `back-${own}`)];
    await recorder.bringBack(moment, repository);
    // While a copy is filled up, newer WAL may be there before older: what lies behind such a gap is not counted as there, and whoever has only this copy can still have what lies before it.
    const outcome = await site.run("restore", "db", "--repository", `file://${repository}`, "--to", "latest", "--accept-gap", "--target", target, "--json");
    if (outcome.exitCode !== 0) throw new Error(`as it was at ${moment.at.toISOString()}: ${outcome.stderr}`);
    try {
      await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
      return new Set((await restored.sql("select sequence from written")).map(({ sequence }) => Number(sequence)));
    } finally {
      await rm(target, { recursive: true });
      await rm(repository, { recursive: true });
    }
  }

  /** When exposure was first seen within so many seconds again; in milliseconds, good to the distance of two moments. */
  async recovered(withinSeconds: number, { fromMs, toMs }: { fromMs: number; toMs: number }): Promise<number> {
    const moments = this.moments.filter(({ at }) => at.getTime() >= fromMs && at.getTime() <= toMs);
    let [low, high] = [0, moments.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { exposure } = await this.at(must(moments[middle], "a moment"));
      if (exposure > withinSeconds) low = middle + 1;
      else high = middle;
    }
    return must(moments[high], "a moment").at.getTime();
  }
}
