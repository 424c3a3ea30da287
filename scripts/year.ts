import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Catalog } from "../src/catalog/catalog.ts";
import { overallStatus } from "../src/compliance/current-status.ts";
import { openScratchFolder } from "../test/support/scratch-folder.ts";
import type { YearFigures } from "./bench/simulated-year.ts";
import { mergeCatalog } from "./bench/year-merge.ts";
import { guideSources, sumAccounts } from "./bench/year-sources.ts";
import type { YearAccount } from "./bench/year-sources.ts";
import { inThreads } from "./bench/year-threads.ts";
import type { YearTask } from "./bench/year-threads.ts";

/**
 * `npm run year`: a year of policies/guide.yaml for a thousand sources, by the planner and the catalog that work in earnest. Prints how many runs were due, what became of each, how large the
 * catalog is, and how long a status takes. Ends with 1 where a slot is not accounted for exactly once, or a bound is not held.
 *
 * Sources are played in two threads, each into a catalog of its own, which are then one; what is counted and asked is that one.
 */
const { values } = parseArgs({
  options: {
    sources: { type: "string", default: "1000" },
    days: { type: "string", default: "365" },
    threads: { type: "string", default: String(Math.min(2, availableParallelism())) },
  },
  allowPositionals: true,
});
const DAY_MS = 86_400_000;
/** `seconds`: of everything, from the first source to the last count. */
const BOUNDS = { statusMs: 500, catalogBytes: 2e9, seconds: 600 } as const;
const FROM = new Date("2025-11-01T00:00:00Z");
const until = new Date(FROM.getTime() + Number(values.days) * DAY_MS);
const count = Number(values.sources);
const threads = Number(values.threads);

interface Played extends YearFigures {
  readonly playCpuSeconds: number;
  readonly observeCpuSeconds: number;
}

const since = performance.now();
const say = (text: string): void => void process.stderr.write(`${((performance.now() - since) / 1000).toFixed(0)} s  ${text}\n`);

await using scratch = await openScratchFolder();
const files = Array.from({ length: threads }, (_, thread) => join(scratch.path, `catalog-${thread}.sqlite`));
const [file = ""] = files;
const task = (kind: YearTask["kind"], of: string, thread: number): YearTask => ({ kind, file: of, sources: count, thread, threads, from: FROM, until });

const played = await inThreads<Played>(
  files.map((of, thread) => task("play", of, thread)),
  say,
);
const simulationSeconds = secondsSince(since);
say("merging");
using catalog = Catalog.open(file);
for (const other of files.slice(1)) mergeCatalog(catalog, other);
const mergeSeconds = secondsSince(since) - simulationSeconds;
say("accounting");
const account = sumAccounts(
  await inThreads<YearAccount>(
    files.map((_, thread) => task("account", file, thread)),
    say,
  ),
);
const seconds = secondsSince(since);
const sources = await guideSources(count);
const statusMs = timeStatus();
say("vacuuming");
catalog.run("vacuum", {});
// What was made smaller lies in the journal once more until it is written back.
catalog.all("pragma wal_checkpoint(truncate)");
const catalogBytes = bytes();
const { user, system } = process.cpuUsage();
const sum = (of: (figures: Played) => number): number => played.reduce((all, figures) => all + of(figures), 0);
const figures = {
  playCpuSeconds: sum(({ playCpuSeconds }) => playCpuSeconds),
  observeCpuSeconds: sum(({ observeCpuSeconds }) => observeCpuSeconds),
  looks: sum(({ looks }) => looks),
  entries: sum(({ entries }) => entries),
  entryBytes: sum(({ entryBytes }) => entryBytes),
};
const result = {
  sources: sources.length,
  days: Number(values.days),
  threads,
  ...account,
  ...figures,
  simulationSeconds,
  mergeSeconds,
  seconds,
  cpuSeconds: (user + system) / 1e6,
  statusMs,
  catalogBytes,
};
console.log(JSON.stringify(result, null, 2));
const broken = [
  ...account.problems,
  ...(statusMs > BOUNDS.statusMs ? [`a status took ${statusMs.toFixed(0)} ms`] : []),
  ...(catalogBytes > BOUNDS.catalogBytes ? [`the catalog has ${catalogBytes} bytes`] : []),
  ...(seconds > BOUNDS.seconds ? [`it took ${seconds.toFixed(0)} s`] : []),
];
for (const problem of broken) say(problem);
process.exitCode = broken.length === 0 ? 0 : 1;

function secondsSince(ms: number): number {
  return (performance.now() - ms) / 1000;
}

/** The median of five. */
function timeStatus(): number {
  const times = Array.from({ length: 5 }, () => {
    const from = performance.now();
    const text = JSON.stringify(overallStatus(catalog, sources, until));
    if (text.length < sources.length * 100) throw new Error("a status says nothing");
    return performance.now() - from;
  });
  return times.toSorted((a, b) => a - b)[2] ?? 0;
}

function bytes(): number {
  return ["", "-wal"].reduce((all, suffix) => all + (statSync(file + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
}
