import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import { messageOf } from "../../src/errors.ts";
import { backUp } from "./back-up.ts";
import { change, dieInLoad } from "./changes.ts";
import { describeStep } from "./plan.ts";
import type { Step } from "./plan.ts";
import { promote } from "./promote.ts";
import { Mismatch } from "./stage.ts";
import type { Stage } from "./stage.ts";

/** Does one step of a plan. Whatever Holdfast refuses on the way is a mismatch: nothing in a plan is a reason to. */
export async function doStep(stage: Stage, step: Step): Promise<void> {
  stage.tell(describeStep(step));
  switch (step.kind) {
    case "change":
      return change(stage, stage.random, stage.nextNumber());
    case "mark":
      await stage.truth.mark(stage.source, `after ${stage.story.length} steps`);
      return;
    case "backup":
      return backUp(stage, step);
    case "stream":
      return disturbStream(stage, step);
    case "server":
      return disturbServer(stage, step.how);
    case "expire":
      return expire(stage, step);
    case "promote":
      return promote(stage, step.how);
  }
}

const STREAM_ROUNDS = 6;
const ROUND_MS = 250;

async function disturbStream(stage: Stage, step: Step & { kind: "stream" }): Promise<void> {
  stage.tally.did(`stream ${step.how}`);
  switch (step.how) {
    case "stop":
    case "kill":
      await stage.stopStream(step.how === "stop" ? "SIGTERM" : "SIGKILL");
      return stage.stream();
    case "pause": // nobody streams until the next backup, which does so for itself, or the next who needs it
      await stage.stopStream("SIGTERM");
      return undefined;
    case "crash": {
      await stage.stopStream("SIGTERM");
      await stage.stream(step.crash);
      const died = (await dieStreaming(stage)) || (await stage.stopStream("SIGTERM"));
      stage.tell(died ? "died" : "did not die");
      if (died) stage.tally.crash(step.crash.point);
      return stage.stream();
    }
  }
}

/** Gives a stream something to die of: parts, and segments that end. */
async function dieStreaming(stage: Stage): Promise<boolean> {
  for (let round = 0; round < STREAM_ROUNDS; round++) {
    await stage.source.sql(`insert into marks (n, note) values (${-stage.truth.nextSequence()}, 'something to stream')`);
    const outcome = await stage.streamDied(ROUND_MS);
    if (outcome !== null) {
      if (outcome.signal !== "SIGKILL") throw new Mismatch("command", `the WAL stream ended with ${outcome.exitCode}: ${outcome.stderr}`);
      return true;
    }
    if (round % 2 === 1) await stage.source.sql("select pg_switch_wal()");
  }
  return false;
}

async function disturbServer(stage: Stage, how: "restart" | "kill" | "kill in a load"): Promise<void> {
  const { source, tally } = stage;
  tally.did(`server: ${how}`);
  switch (how) {
    case "restart":
      await source.stop();
      break;
    case "kill":
      await source.kill9();
      break;
    case "kill in a load":
      await dieInLoad(source);
      break;
  }
  await source.start();
  await stage.stopStream("SIGKILL");
  await stage.stream();
}

async function expire(stage: Stage, step: Step & { kind: "expire" }): Promise<void> {
  stage.tally.did("expire");
  if (step.crash !== null) stage.tell((await stage.dies(step.crash, "expire")) ? "died" : "did not die");
  await stage.must("expire");
  await forgetExpired(stage);
}

/**
 * What went is no longer a way to any point. The newest backup never goes, nor one that holds what another needs. A parent may: one that was made a moment before holds nothing any more of which its child
 * does not have something newer.
 */
async function forgetExpired(stage: Stage): Promise<void> {
  const { truth } = stage;
  const { backups } = await sourceInfo(stage);
  const visible = new Map(backups.map((backup) => [backup.id, backup]));
  const newest = truth.backups.at(-1);
  if (newest !== undefined && !visible.has(newest.id)) throw new Mismatch("expire", `${newest.id} is the newest backup, and is gone`);
  for (const { id } of backups)
    for (const ancestor of await ancestorsOf(stage, id)) if (!visible.has(ancestor)) throw new Mismatch("expire", `${id} stays, and ${ancestor} is gone, which it needs`);
  const gone = truth.backups.filter(({ id }) => !visible.has(id));
  for (const backup of gone) truth.backups.splice(truth.backups.indexOf(backup), 1);
  if (gone.length > 0) stage.tally.did("expire that removed backups");
}

/** As the manifest says that lies there: not as the program tells of it. */
async function ancestorsOf({ site }: Stage, id: string): Promise<string[]> {
  const { payload } = JSON.parse(await readFile(join(site.folder, `onsite/sources/db/manifests/${id}.json`), "utf8")) as { payload: string };
  const { ancestors } = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { ancestors: { id: string }[] };
  return ancestors.map((ancestor) => ancestor.id);
}

export async function sourceInfo(stage: Stage): Promise<SourceInfo> {
  const [info] = (await stage.must("info", "--json")).json<{ sources: SourceInfo[] }>().sources;
  if (info === undefined) throw new Mismatch("info", "it does not tell of the source");
  return info;
}

/** What failed is told with the seed and what led there. */
export function asMismatch(error: unknown): Mismatch {
  return error instanceof Mismatch ? error : new Mismatch("failed", messageOf(error), { cause: error });
}
