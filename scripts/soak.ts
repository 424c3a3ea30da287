import { parseArgs } from "node:util";
import { describePlan } from "../test/torture/plan.ts";
import { plant, PLANTS } from "../test/torture/planted.ts";
import { runSeed } from "../test/torture/run-seed.ts";
import type { SeedReport } from "../test/torture/run-seed.ts";
import { Tally } from "../test/torture/tally.ts";
import { Templates } from "../test/torture/template.ts";

/**
 * `npm run soak`: the torture test for as long as asked. One line a seed, and at the end what was done: a "no mismatch" is worth as much as that.
 * Ends with 1 on any mismatch, and where many seeds left a crash point out. `--planted`: instead, six bugs are planted in copies of the program, and each must be caught.
 */
const MINUTE_MS = 60_000;
const SEEDS_TO_CATCH = 50;
/** In so many seeds each crash point must have been hit. */
const SEEDS_TO_HIT_ALL = 100;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    from: { type: "string", default: "1" },
    majors: { type: "string", default: "15,17" },
    minutes: { type: "string", default: "100000" },
    jobs: { type: "string", default: "1" },
    planted: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});

const first = Number(values.from);
const majors = values.majors.split(",").map(Number);
const started = performance.now();
const total = new Tally();
const failed: SeedReport[] = [];
let [next, done] = [first, 0];

// Ends what listens for the end of the process: servers and folders.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

await using templates = new Templates();
if (values.planted) process.exitCode = (await catchPlanted()) ? 0 : 1;
else {
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  summarise();
  process.exitCode = failed.length === 0 && (done < SEEDS_TO_HIT_ALL || total.neverHit.length === 0) ? 0 : 1;
}

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

/** Each planted bug must be caught within so many seeds. True: all were. */
async function catchPlanted(): Promise<boolean> {
  let missed = 0;
  for (const bug of PLANTS) {
    await using planted = await plant(bug);
    const caught = await firstToCatch(planted.main);
    if (caught === null) missed++;
    console.log(
      caught === null ? `NOT CAUGHT  ${bug.name}, by ${SEEDS_TO_CATCH} seeds` : `caught      ${bug.name}, by seed ${caught.seed}, number ${caught.seed - first + 1}: ${caught.how}`,
    );
  }
  return missed === 0;
}

async function firstToCatch(main: string): Promise<{ seed: number; how: string } | null> {
  for (let seed = first; seed < first + SEEDS_TO_CATCH; seed++) {
    const { mismatch } = await runSeed(seed, { majors, templates, keep: false, main });
    if (mismatch !== null) return { seed, how: mismatch.message.split("\n")[0]?.slice(0, 300) ?? "" };
  }
  return null;
}

function summarise(): void {
  console.log(`\n${done} seeds from ${first}, PostgreSQL ${values.majors}, ${Math.round((performance.now() - started) / 1000)} s`);
  for (const line of total.lines()) console.log(line);
  console.log(`mismatches: ${failed.length}${failed.length === 0 ? "" : ` (seeds ${failed.map(({ plan }) => plan.seed).join(", ")})`}`);
}
