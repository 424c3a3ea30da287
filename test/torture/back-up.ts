import { setTimeout as delay } from "node:timers/promises";
import { parseLsn } from "../../src/domain/lsn.ts";
import { Random } from "../support/random.ts";
import { startWriter } from "../support/writer.ts";
import { change } from "./changes.ts";
import type { Step } from "./plan.ts";
import { Mismatch } from "./stage.ts";
import type { Stage } from "./stage.ts";
import { contentsOf, placeOf } from "./truth.ts";

interface BackupView {
  readonly id: string;
  readonly type: string;
  readonly parentId: string | null;
  readonly stopLsn: string;
  readonly changeSource: string;
  readonly corruptPages: number;
}

/** Takes a backup, perhaps after one that died, while nothing or something else goes on. */
export async function backUp(stage: Stage, step: Step & { kind: "backup" }): Promise<void> {
  const { source, truth, tally } = stage;
  const { timeline } = await placeOf(source);
  if (step.crash !== null) {
    const died = await stage.dies(step.crash, "backup", "--type", step.type);
    stage.tell(died ? "died" : "did not die");
  }
  const quiet = step.beside === "nothing" ? await contentsOf(source) : null;
  const view = await beside(stage, step.beside, async () => take(stage, step.type));
  if (view.corruptPages > 0) throw new Mismatch("backup", `${view.id} found ${view.corruptPages} corrupt pages in a healthy cluster`);
  tally.did(`backup ${step.type}`);
  tally.did(`backup beside ${step.beside}`);
  tally.did(`changes by ${view.changeSource}`);
  truth.backups.push({ id: view.id, parent: view.parentId, timeline, lsn: parseLsn(view.stopLsn), contents: quiet });
}

/** Refused for these reasons only, and then again until that is no more: what cannot be told apart is not guessed. */
async function take(stage: Stage, type: string): Promise<BackupView> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await stage.site.run("backup", "--type", type, "--json");
    if (outcome.exitCode === 0) return outcome.json<BackupView>();
    const refusal = REFUSALS.find((words) => outcome.stderr.includes(words));
    if (attempt === ATTEMPTS || refusal === undefined) throw new Mismatch("command", `holdfast backup ended with ${outcome.exitCode ?? outcome.signal}: ${outcome.stderr}`);
    stage.tally.did(`backup refused: ${refusal}`);
  }
}

const ATTEMPTS = 10;
/** What would be restored wrong, or not at all. */
const REFUSALS = ["a tablespace was made while the backup began", "which was written to afterwards"];

/** Runs while something else goes on, and goes on for at least a while before and after. */
async function beside<T>(stage: Stage, what: "nothing" | "writer" | "workload", run: () => Promise<T>): Promise<T> {
  if (what === "nothing") return run();
  const { source, truth, random } = stage;
  const { timeline } = await placeOf(source);
  const work = new Random(`beside/${stage.plan.seed}/${random.integer(1, 1e9)}`);
  await using writer = await startWriter(source, { connections: 2, ratePerSecond: 100, firstSequence: truth.nextSequence() });
  await writer.more(10);
  const done = new AbortController();
  const [outcome] = await Promise.all([run().finally(() => done.abort()), what === "workload" ? workUntil(stage, done.signal, work) : null]);
  await writer.more(10);
  truth.reports.push({ timeline, report: await writer.stop() });
  return outcome;
}

/** Much goes on beside a backup, and yet it comes to its end. */
const PAUSE_MS = 100;

async function workUntil(stage: Stage, signal: AbortSignal, random: Random): Promise<void> {
  let number = stage.nextNumber();
  while (!signal.aborted) {
    await change(stage, random, number++);
    await delay(PAUSE_MS, undefined, { signal }).catch(() => undefined); // aborted: no more
  }
}
