import path from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import { predictWork } from "../compliance/predicted-recovery.ts";
import { bytesBetween, formatLsn } from "../domain/lsn.ts";
import type { RecoveryEstimate } from "../domain/recovery-estimate.ts";
import { parseRestoreTarget } from "../domain/restore-target.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { DamageError, HoldfastError, must } from "../errors.ts";
import { inspectDeltaTarget } from "../operations/restore/delta-target.ts";
import { planRestore } from "../operations/restore/plan-restore.ts";
import type { RestorePlan } from "../operations/restore/plan-restore.ts";
import { existingPart, inspectTarget } from "../operations/restore/restore-target-folder.ts";
import { restore } from "../operations/restore/restore.ts";
import type { RestoreRequest, RestoreResult } from "../operations/restore/restore.ts";
import { startRestored } from "../operations/restore/start-restored.ts";
import { requireReachable } from "../postgres/process.ts";
import { newCommand, openReading, openViews, perform, requireOpenable, withoutInventory } from "./action.ts";
import type { CommonOptions, Reading, Tools } from "./action.ts";
import { chooseOwner, chooseSocketDirectory } from "./choose-owner.ts";
import { plainLines } from "./output.ts";
import { recordedRestore } from "./recorded-restore.ts";
import { findInventory } from "../app.ts";
import { chooseCluster } from "./choose-cluster.ts";
import { restoreInto, restoreOther } from "./restore-by-kind.ts";
import { fetchCommandOf, specialRequest } from "./restore-request.ts";
import { describe, describePlan, present } from "./restore-view.ts";

export interface RestoreOptions extends CommonOptions {
  readonly to: string;
  readonly target?: string;
  readonly into?: string;
  readonly backup?: string;
  readonly from?: string;
  readonly timeline: string;
  readonly cluster?: string;
  readonly exclusive?: boolean;
  readonly action: RestoreRequest["action"];
  readonly tablespace?: string[];
  readonly acceptGap?: boolean;
  readonly owner?: string;
  readonly port?: string;
  readonly delta?: boolean;
  readonly wal: "staged" | "on-demand";
  readonly walDir?: string;
  readonly database?: string[];
  readonly standby?: boolean;
  readonly primaryConninfo?: string;
  readonly plan?: boolean;
  readonly start?: boolean;
}

export function restoreCommand(): Command {
  const command = newCommand("restore", "restore a source to a moment", "holdfast restore orders --to 2026-11-21T16:44:54Z --target /srv/restored");
  return withoutInventory(command)
    .argument("[source]", "which source (may be left out where there is one)")
    .requiredOption("--to <target>", "latest | a time with a zone | lsn:0/16B3748 | name:before-release | xid:1234 | immediate")
    .option("--target <folder>", "an empty folder, or one that does not exist yet (or see --delta)")
    .option("--into <reference>", "databases by pg_dump only: into this server instead of a folder (env:NAME or file:/path)")
    .option("--backup <id>", "from this backup (default: the newest that leads to the target)")
    .option("--from <repository>", "from this copy (default: the first that can)")
    .option("--timeline <timeline>", "a number, latest or current", "latest")
    .option("--cluster <system identifier>", "of a source that was bound to another cluster before: that one (default: the one in use; with a time, the one of that time)")
    .option("--exclusive", "stop just before the target instead of just after it (lsn, name, xid)")
    .addOption(new Option("--action <action>", "what the server does at the target").choices(["promote", "pause", "shutdown"]).default("promote"))
    .option("--tablespace <old=new>", "put a tablespace elsewhere (repeatable)", (value: string, all: string[] | undefined) => [...(all ?? []), value])
    .option("--delta", "the target holds this cluster, stopped: write only what differs, and take away what the backup does not have")
    .addOption(new Option("--wal <how>", "WAL is placed in the target, or fetched by the server as it replays, with holdfast").choices(["staged", "on-demand"]).default("staged"))
    .option("--wal-dir <folder>", "pg_wal goes into this folder, empty or absent, and is a link to it")
    .option("--database <name>", "only this database and those that every cluster has (repeatable)", (value: string, all: string[] | undefined) => [...(all ?? []), value])
    .option("--standby", "a standby of --primary-conninfo: it replays what is in the repository, then follows (with --to latest)")
    .option("--primary-conninfo <reference>", "how the standby connects, as libpq takes it: env:NAME or file:/path")
    .option("--accept-gap", "with latest: take what is before a gap in WAL, and lose what is behind it")
    .option("--owner <user>", "as root: to whom the files belong")
    .option("--port <port>", "port of the restored server (default: the source's)")
    .option("--plan", "only say what would be done")
    .option("--start", "start the server and wait until recovery has ended")
    .action(async (source: string | undefined, options: RestoreOptions) =>
      perform(options, (tools) => (options.target === undefined ? restoreInto(source, options, tools) : runRestore(source, options, tools))),
    );
}

async function runRestore(source: string | undefined, options: RestoreOptions, tools: Tools): Promise<number> {
  const target = parseRestoreTarget(options.to);
  if (typeof target === "string") throw new HoldfastError("HF-TARGET", target, { hint: "for example --to 2026-11-21T16:44:54Z, or +01:00 instead of Z" });
  const folder = path.resolve(options.target ?? "");
  const tablespaces = parseTablespaces(options.tablespace ?? []);
  const delta = options.delta === true;
  const special = await specialRequest(options, target);
  await (delta ? inspectDeltaTarget(folder, null) : inspectTarget(folder));
  const reading = await openReading(source, options, tools);
  requireOpenable(reading);
  const exitCode = await restoreOther(reading, { target, folder }, options, tools);
  if (exitCode !== null) return exitCode;
  const plans = await planAll(reading, target, options, tools);
  if (options.plan === true) {
    const [plan] = plans;
    const view = describePlan(must(plan, "a plan"), predict(reading, must(plan, "a plan")));
    tools.output.result(view, () => plainLines(view));
    return 0;
  }
  const owner = await chooseOwner(options.owner, reading, folder);
  await requireReachable(await existingPart(path.dirname(folder)), owner);
  const socketDirectory = await chooseSocketDirectory(owner);
  const request = {
    target: folder,
    delta,
    tablespaces,
    owner,
    action: options.action,
    ...special,
    fetchCommand: fetchCommandOf({ ...options, cluster: formerClusterOf(plans) }, reading.name, findInventory(options.config)),
    socketDirectory,
    port: options.port === undefined ? null : Number(options.port),
  };
  const { result, plan } = await recordedRestore(
    reading,
    tools,
    (watched) => restoreFromFirst(plans, request, watched),
    (restored) => present(restored.result, restored.plan, { started: false, predicted: predict(reading, restored.plan) }),
  );
  const started =
    options.start === true
      ? await startRestored(
          {
            plan,
            target: folder,
            binaries: reading.app?.inventory.postgres.binaries ?? [],
            runAs: owner,
            socketDirectory,
            port: portOf(result, options),
            promotes: options.action === "promote" && special.primaryConninfo === null,
          },
          tools.context,
        )
      : null;
  const view = present(result, plan, { started: started !== null, predicted: predict(reading, plan) });
  tools.output.result(view, () => describe(result, plan, { owner, started: started !== null, delta }));
  return 0;
}

/** A plan from every copy that leads to the target, in the order of the policy. */
export async function planAll(
  reading: Reading,
  target: RestoreTarget,
  options: Pick<RestoreOptions, "backup" | "timeline" | "cluster" | "exclusive" | "acceptGap">,
  tools: Tools,
): Promise<RestorePlan[]> {
  const plans: RestorePlan[] = [];
  let refusal: unknown = null;
  const opened = await chooseCluster(await openViews(reading, tools.output.notice), { target, backup: options.backup ?? null, cluster: options.cluster ?? null });
  // One that was named stands for itself.
  const views = opened.map((view) => view.withOthers(opened));
  if (views.length === 0)
    throw new HoldfastError("HF-NO-BACKUP", `there is nothing of ${reading.name} in ${reading.repositories.map(({ name }) => name).join(", ")}`, { hint: "see 'holdfast info'" });
  for (const view of views) {
    try {
      plans.push(
        await planRestore(view, {
          target,
          backup: options.backup ?? null,
          timeline: parseTimeline(options.timeline),
          exclusive: options.exclusive === true,
          acceptGap: options.acceptGap === true,
        }),
      );
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      refusal ??= error;
      if (views.length > 1) tools.output.notice(`note: ${view.repository.name}: ${error.message}`);
    }
  }
  if (plans.length === 0) throw refusal;
  return target.kind === "latest" ? furthestFirst(plans, tools) : plans;
}

function formerClusterOf([plan]: readonly RestorePlan[]): string | undefined {
  return plan?.view.formerCluster?.systemIdentifier;
}

/** Latest is what was last committed, whichever copy holds it: the nearest may have been away, and not have caught up yet. */
function furthestFirst(plans: readonly RestorePlan[], { output }: Tools): RestorePlan[] {
  const sorted = plans.toSorted(({ resolved: a }, { resolved: b }) => (a.timeline === b.timeline ? bytesBetween(a.end, b.end) : b.timeline - a.timeline));
  const [first, nearest] = [must(sorted[0], "a plan"), must(plans[0], "a plan")];
  if (first !== nearest) output.notice(`note: ${first.view.repository.name} reaches further than ${nearest.view.repository.name}: ${formatLsn(first.resolved.end)}`);
  return sorted;
}

function parseTimeline(text: string): number | "latest" | "current" {
  if (text === "latest" || text === "current") return text;
  if (/^\d{1,10}$/.test(text) && Number(text) > 0) return Number(text);
  throw new HoldfastError("HF-USAGE", `unknown timeline ${JSON.stringify(text)}`, { hint: "a number, latest or current" });
}

function parseTablespaces(options: readonly string[]): Map<string, string> {
  return new Map(
    options.map((option): [string, string] => {
      const [, from, to] = /^(\/[^=]*)=(\/.*)$/.exec(option) ?? [];
      if (from === undefined || to === undefined)
        throw new HoldfastError("HF-USAGE", `not a tablespace mapping: ${JSON.stringify(option)}`, { hint: "--tablespace /old/folder=/new/folder" });
      return [from, to];
    }),
  );
}

/** From the first copy that is whole: where one turns out to be damaged the next is taken, and that is said. */
export async function restoreFromFirst(plans: readonly RestorePlan[], request: Omit<RestoreRequest, "plan">, tools: Tools): Promise<{ result: RestoreResult; plan: RestorePlan }> {
  let damage: unknown = null;
  const passedOver: { repository: string; object: string; reason: string }[] = [];
  for (const plan of plans) {
    try {
      const result = await restore({ ...request, plan }, tools.context);
      return { result: { ...result, fallbacks: [...passedOver.map((one) => ({ ...one, servedBy: result.repository })), ...result.fallbacks] }, plan };
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      damage ??= error;
      tools.output.notice(`note: ${plan.view.repository.name} cannot serve this restore: ${error.message}`);
      passedOver.push({ repository: plan.view.repository.name, object: error.object, reason: error.message });
    }
  }
  throw damage;
}

function portOf(result: RestoreResult, options: RestoreOptions): number {
  return Number(options.port ?? result.captured.settings.find(({ name }) => name === "port")?.value ?? 5432);
}

/** By the drills of this source that were measured; null where there are none, or nothing is on record here. */
function predict({ app, name }: Reading, { bytes, resolved, view }: RestorePlan): RecoveryEstimate | null {
  return app === null ? null : predictWork(app.catalog, name, { bytes, walSegments: resolved.segments.length, segmentBytes: view.place.segmentBytes });
}
