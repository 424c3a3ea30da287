import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirePostgres } from "../support/postgres-binaries.ts";
import { describePlan, planSeed } from "./plan.ts";
import type { SeedPlan } from "./plan.ts";
import { judgePoints } from "./restore.ts";
import { Mismatch, Stage } from "./stage.ts";
import { asMismatch, doStep, sourceInfo } from "./steps.ts";
import type { Tally } from "./tally.ts";
import type { Templates } from "./template.ts";
import { contentsOf } from "./truth.ts";

export interface SeedReport {
  readonly plan: SeedPlan;
  readonly tally: Tally;
  /** What was done, and when. */
  readonly story: readonly string[];
  readonly mismatch: Mismatch | null;
  /** Where what failed can be looked at. */
  readonly kept: string | null;
}

export interface SeedOptions {
  readonly majors: readonly number[];
  readonly templates: Templates;
  /** Another program than ours, with a fault planted in it. */
  readonly main?: string;
  /** Whether the folders of a mismatch stay. */
  readonly keep: boolean;
}

/** One seed, from a new cluster to the last judged restore. It reports and does not throw: a mismatch is a result. */
export async function runSeed(seed: number, options: SeedOptions): Promise<SeedReport> {
  const plan = planSeed(seed, options.majors);
  await using source = await options.templates.open(plan, await requirePostgres(plan.major));
  await using stage = await Stage.open(plan, source, options.main ?? null);
  try {
    await play(stage);
    return { plan, tally: stage.tally, story: stage.story, mismatch: null, kept: null };
  } catch (error) {
    const mismatch = asMismatch(error);
    return { plan, tally: stage.tally, story: stage.story, mismatch, kept: options.keep ? await keep(stage, mismatch) : null };
  }
}

async function play(stage: Stage): Promise<void> {
  const { plan, source, truth, tally, random } = stage;
  // Without a stream, the first backup brings its own.
  if (random.chance(0.7)) await stage.stream();
  for (const step of plan.steps) await doStep(stage, step);
  await truth.mark(source, "the last");
  await stage.durable();
  const last = await contentsOf(source);
  await stage.stopStream("SIGTERM");
  const info = await sourceInfo(stage);
  if (info.gaps.length > 0) throw new Mismatch("gap", JSON.stringify(info.gaps));
  tally.chain(longestChain(info.backups));
  await judgePoints(stage, last);
  stage.tell("verify");
  await stage.must("verify");
  stage.tell("end");
}

function longestChain(backups: readonly { id: string; parentId: string | null }[]): number {
  const parents = new Map(backups.map(({ id, parentId }) => [id, parentId]));
  const lengthOf = (id: string | null | undefined): number => (id === null || id === undefined ? 0 : 1 + lengthOf(parents.get(id)));
  return Math.max(0, ...backups.map(({ id }) => lengthOf(id)));
}

/** The site (repository, restored clusters, state) and the source, as they were, with the story. */
async function keep(stage: Stage, mismatch: Mismatch): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `holdfast-torture-${stage.plan.seed}-`));
  await stage.source.stop("fast").catch(() => undefined); // it may be what failed
  for (const [name, from] of [
    ["site", stage.site.folder],
    ["source", join(stage.source.dataDirectory, "..")],
  ] as const)
    await cp(from, join(folder, name), { recursive: true, verbatimSymlinks: true, filter: (path) => !path.includes(".s.PGSQL") });
  await writeFile(
    join(folder, "story.txt"),
    `${describePlan(stage.plan)}\n\n${stage.story.join("\n")}\n\n${mismatch.stack ?? mismatch.message}\n${mismatch.cause instanceof Error ? (mismatch.cause.stack ?? "") : ""}\n`,
  );
  return folder;
}
