import type { Command } from "commander";
import { newCommand, perform } from "./action.ts";
import { change } from "./hold.ts";
import type { HoldOptions } from "./hold.ts";

export function pinCommand(): Command {
  return newCommand("pin", "keep a backup, whatever retention says, until it is unpinned", 'holdfast pin orders 20261121T164454Z-full --reason "before the migration"')
    .argument("<source>", "which source")
    .argument("<backup>", "its id, as 'holdfast info' shows it")
    .option("--reason <text>", "why, for those who will wonder")
    .action(async (source: string, backup: string, options: HoldOptions) => perform(options, async (tools) => change("pin", { source, backup, options }, tools)));
}

export function unpinCommand(): Command {
  return newCommand("unpin", "leave a backup to retention again", "holdfast unpin orders 20261121T164454Z-full")
    .argument("<source>", "which source")
    .argument("<backup>", "its id, as 'holdfast info' shows it")
    .option("--reason <text>", "why, for those who will wonder")
    .action(async (source: string, backup: string, options: HoldOptions) => perform(options, async (tools) => change("unpin", { source, backup, options }, tools)));
}
