import { formatSeconds } from "../domain/duration.ts";
import path from "node:path";
import type { Command } from "commander";
import { stopwatch } from "../clock.ts";
import type { DrillCheckResult } from "../domain/drill-verdict.ts";
import { STEP_TITLES } from "../domain/recovery-steps.ts";
import type { RecoveryStep, StepRecord } from "../domain/recovery-steps.ts";
import { HoldfastError, must } from "../errors.ts";
import { newRunId } from "../operations/installation.ts";
import { recordRun } from "../operations/record-run.ts";
import { tellingProgress } from "../operations/run-progress.ts";
import type { RecoveryOutcome } from "../operations/recover/recover.ts";
import { recordBegun, unfinishedRecovery } from "../operations/recover/recovery-log.ts";
import type { RecordedRecovery, RecoveryOrder } from "../operations/recover/recovery-log.ts";
import { newCommand, openReading, perform, requireOpenable } from "./action.ts";
import type { CommonOptions, Reading, Tools } from "./action.ts";
import { recoverByKind, requireOrder } from "./recover-by-kind.ts";
import { parseTarget } from "./recovery-parts.ts";

interface RecoverOptions extends CommonOptions {
  readonly to: string;
  readonly target?: string;
  readonly into?: string;
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
  /** The folder; null: into a server. */
  readonly target: string | null;
  /** The reference that leads to the server; null: into a folder. */
  readonly into: string | null;
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
    .option("--into <reference>", "databases by pg_dump only: into this server instead of a folder (env:NAME or file:/path)")
    .option("--from <repository>", "from this copy (default: the first that can)")
    .option("--owner <user>", "as root: to whom the files belong")
    .option("--port <port>", "port of the recovered server (default: the source's)")
    .option("--resume", "go on with the recovery of this source that was not finished")
    .option("--yes", "confirm the steps that want to be confirmed")
    .action(async (source: string | undefined, options: RecoverOptions) => perform(options, (tools) => runRecover(source, options, tools)));
}

async function runRecover(source: string | undefined, options: RecoverOptions, tools: Tools): Promise<number> {
  parseTarget(options.to);
  if (options.resume !== true && (options.target === undefined) === (options.into === undefined))
    throw new HoldfastError("HF-USAGE", "where should it be recovered to?", { hint: "--target /srv/recovered; or, for databases by pg_dump, --into env:NAME" });
  const reading = await openReading(source, options, tools);
  requireOpenable(reading);
  const app = must(reading.app, "an installation");
  const recovery = options.resume === true ? goOn(reading, options) : await begin(reading, options);
  const { from } = recovery.order;
  const scoped = from === null ? reading : { ...reading, repositories: reading.repositories.filter(({ name }) => name === from) };
  const elapsed = stopwatch(app.clock);
  const spec = { id: newRunId(app.clock), source: reading.name, operation: "recover", type: null, trigger: "manual" as const, scheduledFor: null };
  const view = await recordRun(app.journal, spec, async () => {
    const watched = { ...tools, context: tellingProgress(app.catalog, spec.id, tools.context) };
    const value = present(recovery.order, await recoverByKind(recovery, scoped, watched, { yes: options.yes === true }), elapsed());
    return { outcome: value.outcome === "recovered" ? "succeeded" : "failed", reason: value.failedStep, figures: value, value };
  });
  tools.output.result(view, () => describe(view));
  return view.outcome === "recovered" ? 0 : 1;
}

async function begin(reading: Reading, { to, target, into, from, owner, port }: RecoverOptions): Promise<RecordedRecovery> {
  const app = must(reading.app, "an installation");
  const order: RecoveryOrder = {
    recovery: newRunId(app.clock),
    source: reading.name,
    to,
    target: target === undefined ? null : path.resolve(target),
    into: into ?? null,
    from: from ?? null,
    owner: owner ?? null,
    port: port === undefined ? null : portOf(port),
  };
  await requireOrder(reading, order);
  await recordBegun(app.journal, order);
  return { order, steps: [] };
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new HoldfastError("HF-USAGE", `${JSON.stringify(text)} is no port`, { hint: "a number from 1 to 65535" });
}

/** What was asked for when it began counts, and nothing else. */
function goOn(reading: Reading, { target, into }: RecoverOptions): RecordedRecovery {
  const found = unfinishedRecovery(must(reading.app, "an installation").journal, reading.name);
  if (found === null) throw new HoldfastError("HF-USAGE", `no recovery of ${reading.name} was begun here and not finished`, { hint: "leave out --resume to begin one" });
  const { order } = found;
  if ((target !== undefined && path.resolve(target) !== order.target) || (into !== undefined && into !== order.into))
    throw new HoldfastError("HF-USAGE", `the recovery that was begun goes to ${order.target ?? order.into}`, {
      hint: "leave out --target and --into, or leave out --resume to begin another one",
    });
  return found;
}

function present({ recovery, source, target, into }: RecoveryOrder, { steps, checks, failed }: RecoveryOutcome, durationSeconds: number): RecoveryView {
  const titled = steps.map((record) => ({ ...record, title: STEP_TITLES[record.step] }));
  return { id: recovery, source, outcome: failed === null ? "recovered" : "failed", failedStep: failed, target, into, durationSeconds, steps: titled, checks };
}

function describe({ source, outcome, failedStep, target, into, steps }: RecoveryView): string {
  const lines = [
    `${source}: ${outcome}${failedStep === null ? ` to ${target ?? into}` : ` at '${failedStep}'; when the reason is gone: holdfast recover ${source} --resume`}`,
    ...steps.map(({ title, outcome: how, seconds, detail }) => `  ${how.padEnd(6)} ${title} (${formatSeconds(seconds)}): ${detail}`),
  ];
  return `${lines.join("\n")}\n`;
}
