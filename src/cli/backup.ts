import { formatSeconds } from "../domain/duration.ts";
import type { Command } from "commander";
import { parseBackupType } from "../domain/backup-id.ts";
import type { BackupView } from "../domain/source-info.ts";
import { HoldfastError } from "../errors.ts";
import { chooseSource } from "../operations/installation.ts";
import { runBackup } from "../operations/backup/run-backup.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { formatBytes } from "./output.ts";

interface BackupOptions extends CommonOptions {
  readonly type: string;
  readonly wait?: boolean;
}

export function backupCommand(): Command {
  return newCommand("backup", "take one backup now", "holdfast backup orders --type incr")
    .argument("[source]", "which source (may be left out where there is one)")
    .option("--type <type>", "full, incr or diff", "full")
    .option("--wait", "wait for a backup that is already going on, instead of refusing")
    .action(async (source: string | undefined, options: BackupOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const type = parseBackupType(options.type);
        if (type === null) throw new HoldfastError("HF-USAGE", `unknown backup type ${JSON.stringify(options.type)}`, { hint: "full, incr or diff" });
        const app = await openApp();
        const view = await runBackup(app, { source: chooseSource(app.inventory, source), type, wait: options.wait === true, ...BY_HAND }, context);
        output.result(view, () => describe(view));
        if (view.copies.some(({ state }) => state === "failed")) return 3;
        return view.state === "complete" ? 0 : 1;
      }),
    );
}

function describe(view: BackupView): string {
  const lines = [
    `${view.id}  ${view.state}${whatIsWrong(view)}`,
    `  ${formatBytes(view.sourceBytes)} in the source, ${formatBytes(view.readBytes)} read, ${formatBytes(view.storedBytes)} stored, in ${formatSeconds(view.durationSeconds)}`,
    `  changes found by ${view.changeSource}: ${view.changeSourceReason}`,
    ...view.copies.map(({ repository, state, error }) => `  ${repository}: ${state}${error === null ? "" : ` (${error})`}`),
  ];
  return `${lines.join("\n")}\n`;
}

function whatIsWrong({ corruptPages, tree = null }: BackupView): string {
  const counted = [
    [corruptPages, "corrupt pages in the source"],
    [tree?.unread ?? 0, "could not be read"],
    [tree?.changed ?? 0, "were written to meanwhile"],
    [tree?.skipped ?? 0, "left out, being no files"],
  ] as const;
  const said = counted.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return said.length === 0 ? "" : ` (${said.join(", ")})`;
}
