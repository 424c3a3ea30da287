import { formatTable } from "../../src/cli/table.ts";
import type { Cost } from "./measure.ts";

/** One timed operation of one tool. */
export interface Sample {
  readonly operation: string;
  readonly tool: string;
  readonly cost: Cost;
  /** What the repository grew by; null where nothing is stored. */
  readonly storedBytes: number | null;
}

export interface Summary {
  readonly operation: string;
  readonly tool: string;
  readonly runs: number;
  readonly medianSeconds: number;
  /** Median of the ratios of runs that were made one after the other: noise that both felt cancels out. Null where there is nothing to compare with. */
  readonly ratio: number | null;
  readonly medianStoredBytes: number | null;
  readonly storedRatio: number | null;
  readonly peakBytes: number;
  /** Median of what was read. */
  readonly medianReadBytes: number;
}

/** Everything of a tool against the same of `baseline`. Samples of one operation and tool are in the order of rounds. */
export function summarise(samples: readonly Sample[], baseline: string): Summary[] {
  const groups = Map.groupBy(samples, ({ operation, tool }) => JSON.stringify([operation, tool]));
  return [...groups.values()].map((own) => {
    const { operation, tool } = own[0] as Sample;
    const base = samples.filter((sample) => sample.operation === operation && sample.tool === baseline);
    const stored = own.map(({ storedBytes }) => storedBytes).filter((bytes) => bytes !== null);
    const baseStored = base.map(({ storedBytes }) => storedBytes).filter((bytes) => bytes !== null);
    return {
      operation,
      tool,
      runs: own.length,
      medianSeconds: median(own.map(({ cost }) => cost.seconds)),
      ratio: tool === baseline || base.length !== own.length ? null : median(own.map(({ cost }, i) => cost.seconds / (base[i] as Sample).cost.seconds)),
      medianStoredBytes: stored.length === 0 ? null : median(stored),
      storedRatio: tool === baseline || stored.length === 0 || baseStored.length !== stored.length ? null : median(stored) / median(baseStored),
      peakBytes: Math.max(...own.map(({ cost }) => cost.peakBytes)),
      medianReadBytes: median(own.map(({ cost }) => cost.readBytes)),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? (sorted[Math.floor(middle)] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

const MIB = 1024 ** 2;

export function tableOf(summaries: readonly Summary[], baseline: string): string {
  const head = ["operation", "tool", "median", `time / ${baseline}`, "stored", `stored / ${baseline}`, "read", "peak memory"];
  const rows = summaries.map((row) => [
    row.operation,
    row.tool,
    `${row.medianSeconds.toFixed(1)} s`,
    row.ratio?.toFixed(2) ?? "",
    row.medianStoredBytes === null ? "" : `${(row.medianStoredBytes / MIB).toFixed(1)} MiB`,
    row.storedRatio?.toFixed(2) ?? "",
    `${(row.medianReadBytes / MIB).toFixed(0)} MiB`,
    `${(row.peakBytes / MIB).toFixed(0)} MiB`,
  ]);
  return formatTable(head, rows).trimEnd();
}
