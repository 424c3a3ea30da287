import { cp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { giveToServerUser } from "../support/cluster.ts";
import { change } from "./changes.ts";
import { backUp } from "./back-up.ts";
import { crashIn } from "./plan.ts";
import { restoreTo } from "./restore.ts";
import { Mismatch } from "./stage.ts";
import type { Stage } from "./stage.ts";
import { branchOf, contentsOf, describePlace, differences, placeOf } from "./truth.ts";

/** Brings the source to another timeline, as failovers and recoveries do. What Holdfast sees is the same address with another server behind it. */
export async function promote(stage: Stage, how: "standby" | "lagging standby" | "restored"): Promise<void> {
  const { source, truth, tally } = stage;
  await stage.durable();
  switch (how) {
    case "standby":
      await source.stop();
      await startPromoted(stage);
      break;
    case "lagging standby":
      await failOverToLagging(stage);
      break;
    case "restored":
      if (!(await putRestoredInPlace(stage))) return;
      break;
  }
  const { timeline } = await placeOf(source);
  truth.branch(timeline, await branchOf(source, timeline));
  tally.did(`promotion of a ${how}`);
  await stage.stopStream("SIGKILL");
  await stage.stream();
}

async function startPromoted({ source }: Stage): Promise<void> {
  await writeFile(join(source.dataDirectory, "standby.signal"), "");
  await giveToServerUser(join(source.dataDirectory, "standby.signal"));
  await source.start();
  await source.promote();
}

/** A standby that stood still while the primary went on: what the primary wrote since is on its timeline only. */
async function failOverToLagging(stage: Stage): Promise<void> {
  const { source, tablespace, truth } = stage;
  const folder = join(source.dataDirectory, "..");
  await source.stop();
  await cp(source.dataDirectory, join(folder, "standby"), { recursive: true, verbatimSymlinks: true });
  await cp(tablespace, join(folder, "standby-space"), { recursive: true });
  await source.start();
  await stage.stopStream("SIGKILL");
  await change(stage, stage.random, stage.nextNumber());
  // A backup that is on the dead primary's timeline only, and no parent for any after it.
  if (stage.random.chance(0.5)) await backUp(stage, { kind: "backup", type: stage.random.pick(["full", "incr", "diff"]), beside: "nothing", crash: null });
  await change(stage, stage.random, stage.nextNumber());
  await truth.mark(source, "only on the primary that is about to die");
  await stage.durable();
  await source.stop("immediate");
  await exchange(stage, join(folder, "standby"), join(folder, "standby-space"));
  // A slot made on the primary is not on its standby, unless somebody copied the primary at rest.
  if (stage.random.chance(0.5)) await forgetSlots(source.dataDirectory);
  await startPromoted(stage);
}

/** The source is lost or stopped, a moment of it is restored at its place, promoted, and goes on. False: there is none to go back to. */
async function putRestoredInPlace(stage: Stage): Promise<boolean> {
  const { source, truth, random } = stage;
  const now = await placeOf(source);
  const candidates = truth.moments.filter((moment) => truth.leadsThrough(now, moment) && truth.backups.some((backup) => truth.leadsThrough(moment, backup)));
  if (candidates.length === 0) return false;
  const moment = random.pick(candidates.slice(-3));
  const timeline = moment.timeline === now.timeline ? "latest" : String(moment.timeline);
  await stage.stopStream("SIGTERM");
  await source.stop();
  const delta = random.chance(0.5);
  if (!delta) {
    await rm(source.dataDirectory, { recursive: true });
    await rm(stage.tablespace, { recursive: true });
  }
  const args = ["--to", `name:${moment.name}`, "--timeline", timeline, ...(delta ? ["--delta"] : [])];
  await restoreTo(stage, source.dataDirectory, args, random.chance(0.3) ? crashIn(random, "restore.") : null);
  stage.tally.did(delta ? "restore --delta" : "restore");
  await source.start();
  await source.leftRecovery();
  const wrong = differences(await contentsOf(source), moment.contents);
  if (wrong.length > 0) throw new Mismatch("contents", `the source restored to ${moment.name} (${describePlace(moment)}) differs: ${wrong.join("; ")}`);
  // What recovery was told must not be told to the next one; and what the workload makes later must not stop it.
  await writeFile(join(source.dataDirectory, "postgresql.auto.conf"), source.major >= 15 ? "allow_in_place_tablespaces = on\n" : "");
  await source.restart();
  return true;
}

/** A copy of data directory and tablespace takes the source's own places: its link leads there already. */
async function exchange({ source, tablespace }: Stage, dataDirectory: string, space: string): Promise<void> {
  await rm(source.dataDirectory, { recursive: true });
  await rm(tablespace, { recursive: true });
  await rename(dataDirectory, source.dataDirectory);
  await rename(space, tablespace);
  await giveToServerUser(join(source.dataDirectory, ".."));
}

async function forgetSlots(dataDirectory: string): Promise<void> {
  const slots = join(dataDirectory, "pg_replslot");
  for (const name of await readdir(slots)) await rm(join(slots, name), { recursive: true });
}
