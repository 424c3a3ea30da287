import { parseArgs } from "node:util";
import { startVitest } from "vitest/node";
import type { TestCase, Vitest } from "vitest/node";
import { NOT_RUN } from "../test/support/not-run.ts";

/**
 * `npm test`: every kind of test that can run on this machine, but those that go deep and take minutes more: `npm test -- --all` (`npm test -- --project unit path`: some of them).
 * Ends by saying what could not run and why, and with one plain line of counts. A test that is silently left out is a lie.
 */
interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Only with `--all`: forged repositories, full disks, a failure at each call. */
const DEEP = "deep";
const { values, positionals } = parseArgs({ allowPositionals: true, options: { project: { type: "string", multiple: true }, all: { type: "boolean", default: false } } });
if (values.all) process.env["HOLDFAST_TEST_ALL"] = "1";
const isDeepLeftOut = !values.all && values.project === undefined;
const vitest = await startVitest(positionals, { watch: false, run: true, project: values.project ?? (values.all ? [] : [`!${DEEP}`]) });
const tests = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()]);
const counts = count(tests, brokenFiles(vitest));
const reasons = reasonsOf(tests);
await vitest.close();
printReasons(reasons);
if (isDeepLeftOut)
  console.log("Not run: test/deep, the store's contract in a bucket with locks in compliance mode, and the seeds of the torture test that failed once ('npm test -- --all')\n");
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

/** Files that failed before, or outside of, their tests: they count, each as one. */
function brokenFiles({ state }: Vitest): number {
  const broken = state.getTestModules().filter((module) => !module.ok() && [...module.children.allTests("failed")].length === 0);
  return broken.length + state.getUnhandledErrors().length;
}

function count(all: readonly TestCase[], broken: number): Counts {
  const of = (state: string): number => all.filter((test) => test.result().state === state).length;
  return { passed: of("passed"), failed: of("failed") + of("pending") + broken, skipped: of("skipped") };
}

/** Reason → where. */
function reasonsOf(all: readonly TestCase[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const test of all) {
    const result = test.result();
    if (result.state !== "skipped") continue;
    const isNamed = test.name.startsWith(NOT_RUN);
    const reason = isNamed ? test.name.slice(NOT_RUN.length) : (result.note ?? "no reason given");
    const where = isNamed ? test.fullName.slice(0, -test.name.length).replace(/[ >]+$/, "") : test.fullName;
    found.set(reason, (found.get(reason) ?? new Set()).add(where));
  }
  return found;
}

function printReasons(found: ReadonlyMap<string, ReadonlySet<string>>): void {
  if (found.size === 0) return;
  console.log("\nNot run here:");
  for (const [reason, places] of found) {
    console.log(`  ${reason}`);
    for (const place of places) console.log(`    - ${place}`);
  }
  console.log("");
}
