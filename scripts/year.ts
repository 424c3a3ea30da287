import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Catalog } from "../src/catalog/catalog.ts";
import { overallStatus } from "../src/compliance/current-status.ts";
import { openScratchFolder } from "../test/support/scratch-folder.ts";
import { simulateYear } from "./bench/simulated-year.ts";
import { YearFates } from "./bench/year-fates.ts";
import { observeYear } from "./bench/year-exposure.ts";
import { accountFor, guideSources } from "./bench/year-sources.ts";

/**
 * `npm run year`: a year of policies/guide.yaml for a thousand sources, by the planner and the catalog that work in earnest. Prints how many runs were due, what became of each, how large the
 * catalog is, and how long a status takes. Ends with 1 where a slot is not accounted for exactly once, or a bound is not held.
 */
const { values } = parseArgs({ options: { sources: { type: "string", default: "1000" }, days: { type: "string", default: "365" } }, allowPositionals: true });
const DAY_MS = 86_400_000;
const BOUNDS = { statusMs: 500, catalogBytes: 2e9, simulationSeconds: 600 } as const;
const FROM = new Date("2025-11-01T00:00:00Z");
const until = new Date(FROM.getTime() + Number(values.days) * DAY_MS);

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const sources = await guideSources(Number(values.sources));
await using scratch = await openScratchFolder();
const file = join(scratch.path, "catalog.sqlite");
using catalog = Catalog.open(file);

const since = performance.now();
const figures = simulateYear({
  catalog,
  sources,
  from: FROM,
  until,
  fates: new YearFates(FROM),
  onDay: (day) => {
    if (day.getUTCDate() === 1) say(`${day.toISOString().slice(0, 10)}, ${((performance.now() - since) / 1000).toFixed(0)} s, ${(bytes() / 1e6).toFixed(0)} MB`);
  },
});
const simulationSeconds = (performance.now() - since) / 1000;
say("observing");
observeYear(catalog, sources, FROM, until);
const account = accountFor(catalog, sources, FROM, until, say);
const statusMs = timeStatus();
catalog.run("vacuum", {});
// What was made smaller lies in the journal once more until it is written back.
catalog.all("pragma wal_checkpoint(truncate)");
const catalogBytes = bytes();
const result = { sources: sources.length, days: Number(values.days), ...account, ...figures, simulationSeconds, statusMs, catalogBytes };
console.log(JSON.stringify(result, null, 2));
const broken = [
  ...account.problems,
  ...(statusMs > BOUNDS.statusMs ? [`a status took ${statusMs.toFixed(0)} ms`] : []),
  ...(catalogBytes > BOUNDS.catalogBytes ? [`the catalog has ${catalogBytes} bytes`] : []),
  ...(simulationSeconds > BOUNDS.simulationSeconds ? [`the simulation took ${simulationSeconds.toFixed(0)} s`] : []),
];
for (const problem of broken) say(problem);
process.exitCode = broken.length === 0 ? 0 : 1;

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
  return ["", "-wal"].reduce((sum, suffix) => sum + (statSync(file + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
}
