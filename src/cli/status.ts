import type { Command } from "commander";
import { lastSuccess, listRuns } from "../catalog/runs.ts";
import type { SourceInfo } from "../domain/source-info.ts";
import type { App } from "../app.ts";
import { chooseSource } from "../operations/installation.ts";
import { observeSource } from "../operations/observe.ts";
import type { SourceConfig } from "../policy/types.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { formatSeconds } from "./output.ts";
import { formatTable } from "./table.ts";

interface SourceStatus {
  readonly name: string;
  readonly held: boolean;
  /** What is not held, and what is not known. */
  readonly reasons: readonly string[];
  readonly recoverableTo: string | null;
  readonly exposureSeconds: number | null;
  readonly rpoObjectiveSeconds: number;
  readonly rtoLastSeconds: number | null;
  readonly rtoObjectiveSeconds: number;
  readonly lastBackupAt: string | null;
  readonly lastProofAt: string | null;
}

export function statusCommand(): Command {
  return newCommand("status", "one screen; exit 1 when an objective is not held (for cron and Nagios)", "holdfast status")
    .argument("[source]", "which source (default: all)")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const configs = name === undefined ? [...app.inventory.sources.values()] : [chooseSource(app.inventory, name)];
        const sources: SourceStatus[] = [];
        for (const config of configs) sources.push(judge(app, config, await observeSource(app, config)));
        const held = sources.every((source) => source.held);
        output.result({ held, sources }, () => describe(sources));
        return held ? 0 : 1;
      }),
    );
}

function judge(app: App, config: SourceConfig, info: SourceInfo): SourceStatus {
  const { rpoSeconds, rtoSeconds } = config.objectives;
  const copies = info.exposure.filter(({ repository }) => config.policy.log?.repositories.includes(repository) === true);
  const worst = copies.some(({ seconds }) => seconds === null) || copies.length === 0 ? null : Math.max(...copies.map(({ seconds }) => seconds ?? 0));
  const rto = info.lastProof?.rtoSeconds ?? null;
  const [lastDrill] = listRuns(app.catalog, { source: config.name, operation: "drill", limit: 1 });
  const newest =
    info.windows
      .map(({ to }) => to)
      .toSorted()
      .at(-1) ?? null;
  const reasons = [
    ...(info.backups.length === 0 ? ["there is no backup"] : []),
    ...(worst === null ? ["exposure is unknown"] : worst > rpoSeconds ? [`exposed for ${formatSeconds(worst)}, the objective is ${formatSeconds(rpoSeconds)}`] : []),
    ...(info.gaps.length > 0 ? [`${info.gaps.length} gaps in WAL`] : []),
    ...(rto !== null && rto > rtoSeconds ? [`the last drill took ${formatSeconds(rto)}, the objective is ${formatSeconds(rtoSeconds)}`] : []),
    ...(lastDrill?.outcome === "failed" ? [`the last drill failed: ${lastDrill.reason ?? "no reason"}`] : []),
    ...info.backups.flatMap((backup) => backup.copies.filter(({ state }) => state === "damaged").map(({ repository }) => `${backup.id} is damaged in ${repository}`)),
  ];
  return {
    name: config.name,
    held: reasons.length === 0,
    reasons: info.lastProof === null ? [...reasons, "never proven by a drill"] : reasons,
    recoverableTo: newest,
    exposureSeconds: worst,
    rpoObjectiveSeconds: rpoSeconds,
    rtoLastSeconds: rto,
    rtoObjectiveSeconds: rtoSeconds,
    lastBackupAt: lastSuccess(app.catalog, config.name, "backup")?.finishedAt ?? null,
    lastProofAt: info.lastProof?.at ?? null,
  };
}

function describe(sources: readonly SourceStatus[]): string {
  const seconds = (value: number | null): string => (value === null ? "unknown" : formatSeconds(value));
  const rows = sources.map((source) => [
    source.name,
    source.held ? "held" : "NOT HELD",
    source.recoverableTo ?? "nothing",
    `${seconds(source.exposureSeconds)} of ${formatSeconds(source.rpoObjectiveSeconds)}`,
    `${seconds(source.rtoLastSeconds)} of ${formatSeconds(source.rtoObjectiveSeconds)}`,
    source.lastProofAt ?? "never",
  ]);
  const reasons = sources.flatMap(({ name, reasons: all }) => all.map((reason) => `  ${name}: ${reason}\n`));
  return `${formatTable(["source", "objectives", "recoverable to", "exposure", "recovery time", "last proof"], rows)}${reasons.join("")}`;
}
