import type { Command } from "commander";
import { runCopy } from "../operations/copy/run-copy.ts";
import type { CopyResult } from "../operations/copy/copy-source.ts";
import { chooseSource } from "../operations/installation.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { formatBytes } from "./output.ts";

interface CopyOptions extends CommonOptions {
  readonly from: string;
  readonly to: string;
  readonly backup?: string;
  readonly log?: boolean;
}

/** Something was refused to protect what is there. */
const EXIT_REFUSED = 4;

export function copyCommand(): Command {
  return newCommand("copy", "copy backups and WAL from one repository to another, and go on where a copy was cut short", "holdfast copy orders --from onsite --to cloud")
    .argument("[source]", "which source (may be left out where there is one)")
    .requiredOption("--from <repository>", "the repository that is read")
    .requiredOption("--to <repository>", "the repository that is written")
    .option("--backup <id>", "this backup and what it was made from, with their own WAL; without it, everything")
    .option("--log", "with --backup: the WAL that continues it too")
    .action(async (source: string | undefined, options: CopyOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        const { from, to, backup = null, log = null } = options;
        const result = await runCopy(app, { source: chooseSource(app.inventory, source), from, to, backup, log, ...BY_HAND }, context);
        output.result(result, () => describe(result));
        return result.refused.length > 0 ? EXIT_REFUSED : 0;
      }),
    );
}

function describe({ from, to, backups, present, refused, expired, walSegments, bytes }: CopyResult): string {
  const lines = [
    `copied ${backups.length} backups and ${walSegments} WAL segments from ${from} to ${to} (${formatBytes(bytes)}); ${present.length} backups were there already`,
    ...backups.map(
      ({ id, storedBytes, presentContainers }) =>
        `  ${id}  ${formatBytes(storedBytes)}${presentContainers === 0 ? "" : `, ${presentContainers} packs of it from a copy that was cut short`}`,
    ),
    ...refused.map(({ id, reason }) => `  ${id} refused: ${reason}`),
    ...(expired.length === 0 ? [] : [`  not copied, for retention would remove them at once: ${expired.join(", ")}`]),
  ];
  return `${lines.join("\n")}\n`;
}
