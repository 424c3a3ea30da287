import { parseArgs } from "node:util";
import { describePlan } from "../test/torture/plan.ts";
import { runSeed } from "../test/torture/run-seed.ts";
import type { SeedReport } from "../test/torture/run-seed.ts";
import { Tally } from "../test/torture/tally.ts";
import { Templates } from "../test/torture/template.ts";

/**
 * `npm run soak`: the torture test for as long as asked. One line a seed, and at the end what was done: a "no mismatch" is worth as much as that.
 * Ends with 1 on any mismatch.
 */
const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    from: { type: "string", default: "1" },
    majors: { type: "string", default: "15,17" },
    minutes: { type: "string", default: "100000" },
    jobs: { type: "string", default: "1" },
    verbose: { type: "boolean", default: false },
  },
});

const first = Number(values.from);
const majors = values.majors.split(",").map(Number);
const started = performance.now();
const total = new Tally();
const failed: SeedReport[] = [];
let [next, done] = [first, 0];

await using templates = new Templates();
await Promise.all(Array.from({ length: Number(values.jobs) }, work));
summarise();
process.exitCode = failed.length === 0 ? 0 : 1;

async function work(): Promise<void> {
  while (next < first + Number(values.seeds) && performance.now() - started < Number(values.minutes) * MINUTE_MS) {
    const seed = next++;
    const begun = performance.now();
    const report = await runSeed(seed, { majors, templates, keep: true });
    done++;
    total.add(report.tally);
    if (report.mismatch !== null) failed.push(report);
    tell(report, (performance.now() - begun) / 1000);
  }
}

function tell({ plan, tally, story, mismatch, kept }: SeedReport, seconds: number): void {
  const { seed, major, checksums, walLogHints, reader, summaries } = plan;
  const how = `${major}${checksums ? " checksums" : ""}${walLogHints ? " hints" : ""} ${reader} ${summaries}`;
  console.log(`${mismatch === null ? "ok  " : "FAIL"} seed ${seed} (${how}): ${tally.pointCount} points, ${seconds.toFixed(1)} s`);
  if (values.verbose) console.log([describePlan(plan), ...story].map((line) => `     ${line}`).join("\n"));
  if (mismatch !== null)
    console.log(`     ${mismatch.message}\n     ${describePlan(plan)}\n     kept: ${kept}\n     again: npm run soak -- --from ${seed} --seeds 1 --majors ${values.majors}`);
}

function summarise(): void {
  console.log(`\n${done} seeds from ${first}, PostgreSQL ${values.majors}, ${Math.round((performance.now() - started) / 1000)} s`);
  for (const line of total.lines()) console.log(line);
  console.log(`mismatches: ${failed.length}${failed.length === 0 ? "" : ` (seeds ${failed.map(({ plan }) => plan.seed).join(", ")})`}`);
}
