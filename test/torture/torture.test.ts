import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { describePostgres } from "../support/postgres-suite.ts";
import { describePlan, planSeed } from "./plan.ts";
import { plant, PLANTS } from "./planted.ts";
import { runSeed } from "./run-seed.ts";
import { FAILED_ONCE } from "./seeds.ts";
import { Templates } from "./template.ts";

/** One seed at each `npm test`, those that failed once too with `--all`; `npm run soak` for as many as wanted. A seed means the same only with the same versions to choose from. */
const ALWAYS = [31];

test.each(PLANTS)("there is a place for the bug to be planted: $name", async (bug) => {
  await using planted = await plant(bug);
  expect(existsSync(planted.main)).toBe(true);
});

describePostgres("the torture test", {}, () => {
  const majors = inject("postgres").flatMap(({ major, binaries }) => (binaries === null ? [] : [major]));
  let templates: Templates;

  beforeAll(() => {
    templates = new Templates();
  });
  afterAll(async () => templates[Symbol.asyncDispose]());

  const seeds = process.env["HOLDFAST_TEST_ALL"] === undefined ? ALWAYS : [...FAILED_ONCE, ...ALWAYS];
  test.each(seeds.map((seed) => ({ seed, plan: describePlan(planSeed(seed, majors)) })))("restores what was there: $plan", async ({ seed }) => {
    const { mismatch, kept } = await runSeed(seed, { majors, templates, keep: true });
    expect(mismatch?.message, `kept in ${kept}; again with: npm run soak -- --from ${seed} --seeds 1 --majors ${majors.join(",")}`).toBeUndefined();
  });
});
