import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { describePostgres } from "../support/postgres-suite.ts";
import { describePlan, planSeed } from "./plan.ts";
import { runSeed } from "./run-seed.ts";
import { FAILED_ONCE } from "./seeds.ts";
import { Templates } from "./template.ts";

/** A few seeds at each `npm test`, those that failed once before all; `npm run soak` for as many as wanted. A seed means the same only with the same versions to choose from. */
const ALWAYS = [31];

describePostgres("the torture test", {}, () => {
  const majors = inject("postgres").flatMap(({ major, binaries }) => (binaries === null ? [] : [major]));
  let templates: Templates;

  beforeAll(() => {
    templates = new Templates();
  });
  afterAll(async () => templates[Symbol.asyncDispose]());

  test.each([...FAILED_ONCE, ...ALWAYS].map((seed) => ({ seed, plan: describePlan(planSeed(seed, majors)) })))("restores what was there: $plan", async ({ seed }) => {
    const { mismatch, kept } = await runSeed(seed, { majors, templates, keep: true });
    expect(mismatch?.message, `kept in ${kept}; again with: npm run soak -- --from ${seed} --seeds 1 --majors ${majors.join(",")}`).toBeUndefined();
  });
});
