import type { Command } from "commander";
import type { HoldAction } from "../domain/hold.ts";
import { HoldfastError } from "../errors.ts";
import { changeHold } from "../operations/holds/change-hold.ts";
import type { HoldChange } from "../operations/holds/change-hold.ts";
import { chooseSource } from "../operations/installation.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { whoAsks } from "./who-asks.ts";

export interface HoldOptions extends CommonOptions {
  readonly reason?: string;
}

export function holdCommand(): Command {
  return newCommand("hold", "legal hold: keep a backup, or everything of a source, until it is released", 'holdfast hold orders --reason "case 4711"')
    .argument("<source>", "which source")
    .argument("[backup]", "its id (default: all that there is and will be of the source, with its WAL)")
    .requiredOption("--reason <text>", "why, for those who will ask")
    .action(async (source: string, backup: string | undefined, options: HoldOptions) => perform(options, async (tools) => change("hold", { source, backup, options }, tools)));
}

export function releaseCommand(): Command {
  return newCommand("release", "end a legal hold", 'holdfast release orders --reason "case 4711 is closed"')
    .argument("<source>", "which source")
    .argument("[backup]", "its id (default: the hold on the whole source; backups with one of their own keep it)")
    .requiredOption("--reason <text>", "why, for those who will ask")
    .action(async (source: string, backup: string | undefined, options: HoldOptions) => perform(options, async (tools) => change("release", { source, backup, options }, tools)));
}

interface Asked {
  readonly source: string;
  readonly backup: string | undefined;
  readonly options: HoldOptions;
}

/** Exit 1 where there was nothing to take off, 3 where a copy could not be told. */
export async function change(action: HoldAction, { source, backup, options }: Asked, { output, context, openApp }: Tools): Promise<number> {
  const { reason = null } = options;
  if (reason?.trim() === "") throw new HoldfastError("HF-USAGE", "the reason is empty", { hint: "say it in a few words: they are kept for as long as the backup" });
  const app = await openApp();
  const changed = await changeHold(app, { source: chooseSource(app.inventory, source), backup: backup ?? null, action, reason, by: whoAsks() }, context);
  output.result(changed, () => describe(changed));
  if (changed.copies.some(({ state }) => state === "failed")) return 3;
  return changed.copies.every(({ state }) => state === "nothing" || state === "absent") ? 1 : 0;
}

const DONE: Record<HoldAction, string> = { pin: "pinned", unpin: "no longer pinned", hold: "on legal hold", release: "no longer on legal hold" };

function describe({ source, backup, action, copies }: HoldChange): string {
  const what = backup === null ? `all of ${source}` : `${source} ${backup}`;
  const lines = copies.map(({ repository, state, error }) => {
    switch (state) {
      case "changed":
        return `${what} is ${DONE[action]} in ${repository}`;
      case "already":
        return `${what} was ${DONE[action]} in ${repository} already`;
      case "nothing":
        return `${what} is not ${action === "unpin" ? "pinned" : "on legal hold"} in ${repository}: nothing to take off`;
      case "absent":
        return `${backup} is not in ${repository}`;
      case "failed":
        return `${repository} could not be told: ${error ?? "unknown"}; run the command again when it can be reached`;
    }
  });
  return `${lines.join("\n")}\n`;
}
