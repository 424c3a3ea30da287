import { formatSeconds } from "../domain/duration.ts";
import path from "node:path";
import type { Command } from "commander";
import { stopwatch } from "../clock.ts";
import type { DrillCheckResult } from "../domain/drill-verdict.ts";
import { STEP_TITLES } from "../domain/recovery-steps.ts";
import type { RecoveryStep, StepRecord } from "../domain/recovery-steps.ts";
import { parseRestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError, must } from "../errors.ts";
import { newRunId } from "../operations/installation.ts";
import { recordRun } from "../operations/record-run.ts";
import { tellingProgress } from "../operations/run-progress.ts";
import { recover } from "../operations/recover/recover.ts";
import type { RecoveryOutcome } from "../operations/recover/recover.ts";
import { recordBegun, unfinishedRecovery } from "../operations/recover/recovery-log.ts";
import type { RecordedRecovery, RecoveryOrder } from "../operations/recover/recovery-log.ts";
import { inspectTarget } from "../operations/restore/restore-target-folder.ts";
import { newCommand, openReading, perform, requireOpenable } from "./action.ts";
import type { CommonOptions, Reading, Tools } from "./action.ts";
import { recoveryParts } from "./recovery-parts.ts";

interface RecoverOptions extends CommonOptions {
  readonly to: string;
  readonly target?: string;
  readonly from?: string;
  readonly owner?: string;
  readonly port?: string;
  readonly resume?: boolean;
  readonly yes?: boolean;
}

/** What the command prints. */
interface RecoveryView {
  readonly id: string;
  readonly source: string;
  readonly outcome: "recovered" | "failed";
  readonly failedStep: RecoveryStep | null;
  readonly target: string;
  readonly durationSeconds: number;
  readonly steps: readonly (StepRecord & { readonly title: string })[];
  readonly checks: readonly DrillCheckResult[];
}

export function recoverCommand(): Command {
  return newCommand(
    "recover",
    "bring a source back, as a recorded procedure of seven steps that can be gone on with",
    "holdfast recover orders --to latest --target /srv/recovered",
  )
    .argument("[source]", "which source (may be left out where there is one)")
    .option("--to <target>", "latest | a time with a zone | lsn:0/16B3748 | name:before-release | xid:1234 | immediate", "latest")
    .option("--target <folder>", "an empty folder, or one that does not exist yet")
    .option("--from <repository>", "from this copy (default: the first that can)")
    .option("--owner <user>", "as root: to whom the files belong")
    .option("--port <port>", "port of the recovered server (default: the source's)")
    .option("--resume", "go on with the recovery of this source that was not finished")
    .option("--yes", "confirm the steps that want to be confirmed")
    .action(async (source: string | undefined, options: RecoverOptions) => perform(options, (tools) => runRecover(source, options, tools)));
}

async function runRecover(source: string | undefined, options: RecoverOptions, tools: Tools): Promise<number> {
  const target = parseRestoreTarget(options.to);
  if (typeof target === "string") throw new HoldfastError("HF-TARGET", target, { hint: "for example --to 2026-11-21T16:44:54Z, or latest" });
  if (options.resume !== true && options.target === undefined) throw new HoldfastError("HF-USAGE", "where should it be recovered to?", { hint: "--target /srv/recovered" });
  // What is there is never written over: with a cluster in it, running or not, the folder is refused.
  if (options.resume !== true) await inspectTarget(path.resolve(options.target ?? ""));
  const reading = await openReading(source, options, tools);
  requireOpenable(reading);
  if (reading.config?.kind !== "postgres")
    throw new HoldfastError("HF-USAGE", `${reading.name} is no cluster: 'recover' is the procedure for those`, {
      hint: `holdfast restore ${reading.name} --to latest --target …, and 'holdfast drill' to rehearse it`,
    });
  const app = must(reading.app, "an installation");
  const recovery = options.resume === true ? goOn(reading, options) : await begin(reading, options);
  const { from } = recovery.order;
  const scoped = from === null ? reading : { ...reading, repositories: reading.repositories.filter(({ name }) => name === from) };
  const parts = await recoveryParts(recovery.order, scoped, tools, { yes: options.yes === true });
  const elapsed = stopwatch(app.clock);
  const spec = { id: newRunId(app.clock), source: reading.name, operation: "recover", type: null, trigger: "manual" as const, scheduledFor: null };
  const view = await recordRun(app.journal, spec, async () => {
    const value = present(recovery.order, await recover(recovery, parts, app.journal, tellingProgress(app.catalog, spec.id, tools.context)), elapsed());
    return { outcome: value.outcome === "recovered" ? "succeeded" : "failed", reason: value.failedStep, figures: value, value };
  });
  tools.output.result(view, () => describe(view));
  return view.outcome === "recovered" ? 0 : 1;
}

async function begin(reading: Reading, { to, target, from, owner, port }: RecoverOptions): Promise<RecordedRecovery> {
  const app = must(reading.app, "an installation");
  const order: RecoveryOrder = {
    recovery: newRunId(app.clock),
    source: reading.name,
    to,
    target: path.resolve(target ?? ""),
    from: from ?? null,
    owner: owner ?? null,
    port: port === undefined ? null : Number(port),
  };
  await recordBegun(app.journal, order);
  return { order, steps: [] };
}

/** What was asked for when it began counts, and nothing else. */
function goOn(reading: Reading, { target }: RecoverOptions): RecordedRecovery {
  const found = unfinishedRecovery(must(reading.app, "an installation").journal, reading.name);
  if (found === null) throw new HoldfastError("HF-USAGE", `no recovery of ${reading.name} was begun here and not finished`, { hint: "leave out --resume to begin one" });
  if (target !== undefined && path.resolve(target) !== found.order.target)
    throw new HoldfastError("HF-USAGE", `the recovery that was begun goes to ${found.order.target}`, { hint: "leave out --target, or leave out --resume to begin another one" });
  return found;
}

function present({ recovery, source, target }: RecoveryOrder, { steps, checks, failed }: RecoveryOutcome, durationSeconds: number): RecoveryView {
  const titled = steps.map((record) => ({ ...record, title: STEP_TITLES[record.step] }));
  return { id: recovery, source, outcome: failed === null ? "recovered" : "failed", failedStep: failed, target, durationSeconds, steps: titled, checks };
}

function describe({ source, outcome, failedStep, target, steps }: RecoveryView): string {
  const lines = [
    `${source}: ${outcome}${failedStep === null ? ` to ${target}` : ` at '${failedStep}'; when the reason is gone: holdfast recover ${source} --resume`}`,
    ...steps.map(({ title, outcome: how, seconds, detail }) => `  ${how.padEnd(6)} ${title} (${formatSeconds(seconds)}): ${detail}`),
  ];
  return `${lines.join("\n")}\n`;
}
