import type { Command } from "commander";
import { chooseSource } from "../operations/installation.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { runExpire } from "../operations/expire/run-expire.ts";
import type { ExpireView } from "../operations/expire/run-expire.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { formatBytes } from "./output.ts";

interface ExpireOptions extends CommonOptions {
  readonly dryRun?: boolean;
}

export function expireCommand(): Command {
  return newCommand("expire", "remove what retention no longer wants", "holdfast expire orders --dry-run")
    .argument("[source]", "which source (may be left out where there is one)")
    .option("--dry-run", "only say what would go, what stays, and why")
    .action(async (source: string | undefined, options: ExpireOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        const { view, exitCode } = await runExpire(app, { source: chooseSource(app.inventory, source), dryRun: options.dryRun === true, ...BY_HAND }, context);
        output.result(view, () => describe(view));
        return exitCode;
      }),
    );
}

function describe(view: ExpireView): string {
  const lines = view.repositories.flatMap((repository) => [
    `${repository.repository}: ${repository.kept} backups stay, ${repository.expired.length} ${view.dryRun ? "would go" : "went"}, and ${repository.walSegments} WAL segments${view.dryRun ? "" : ` (${formatBytes(repository.removedBytes)})`}`,
    ...repository.expired.map(({ id, reasons }) => `  ${id}: ${reasons.join("; ")}`),
    ...repository.locked.map(({ id, reasons }) => `  ${id} ${view.dryRun ? "would stay" : "stays"} for now: ${reasons.join("; ")}`),
    ...(repository.walLocked === 0 ? [] : [`  ${repository.walLocked} WAL segments stay for now: they are locked`]),
    ...repository.locksExtended.map(
      ({ what, backup, until, reason }) => `  lock ${view.dryRun ? "to extend" : "extended"} to ${until}: ${what}${backup === null ? "" : ` of ${backup}`} (${reason})`,
    ),
    ...repository.refused.map(({ object, until }) => `  ${object} was not let go by the store${until === null ? "" : ` before ${until}`}: it goes later`),
    ...repository.held.map(({ id, heldBy }) => `  ${id} stays for ${heldBy.join(", ")}`),
    ...(repository.walKeptFrom === null ? [] : [`  WAL is kept from ${repository.walKeptFrom}`]),
  ]);
  lines.push(...view.notReached.map(({ repository, code, message }) => `${repository}: nothing was done: ${code}: ${message}`));
  return `${lines.join("\n")}\n`;
}
