import { Command } from "commander";
import { chooseSource } from "../operations/installation.ts";
import { reattachSource } from "../operations/reattach-source.ts";
import type { ReattachedView } from "../operations/reattach-source.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

export function sourceCommand(): Command {
  return new Command("source").description("what a source is bound to").addCommand(reattachCommand());
}

function reattachCommand(): Command {
  return newCommand("reattach", "bind a source to the server that was brought back or promoted: follow its timeline, stream again, take a full", "holdfast source reattach orders")
    .argument("[source]", "which source (may be left out where there is one)")
    .option("--cluster <system identifier>", "the source is another cluster from now on, upgraded or made anew: this one; what the one before wrote is kept")
    .action(async (name: string | undefined, options: CommonOptions & { cluster?: string }) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        const view = await reattachSource(app, chooseSource(app.inventory, name), options.cluster ?? null, context);
        output.result(view, () => describe(view));
        return view.notReached.length > 0 || view.backup.copies.some(({ state }) => state === "failed") ? 3 : 0;
      }),
    );
}

function describe({ source, systemIdentifier, formerSystemIdentifier, timeline, parentTimeline, forkLsn, abandoned, slot, backup, notReached }: ReattachedView): string {
  const lines = [
    ...(formerSystemIdentifier === null
      ? []
      : [
          `${source} is cluster ${systemIdentifier} now; what cluster ${formerSystemIdentifier} wrote is kept, and can be restored with --cluster ${formerSystemIdentifier}, or to a time`,
        ]),
    forkLsn === null ? `${source} is on timeline ${timeline ?? "none"}` : `${source} is on timeline ${timeline} now, forked off timeline ${parentTimeline} at ${forkLsn}`,
    ...(abandoned === null
      ? []
      : [`  left: what timeline ${abandoned.timeline} had from ${abandoned.fromLsn} to ${abandoned.toLsn}; it is kept, and can be restored with --timeline ${abandoned.timeline}`]),
    ...(slot === null ? [] : [`  WAL streams again, kept by the slot ${slot}`]),
    `  ${backup.id}: ${backup.copies.map(({ repository, state }) => `${repository} ${state}`).join(", ")}`,
    ...notReached.map((repository) => `  ${repository} could not be reached: do it again when it is there`),
  ];
  return `${lines.join("\n")}\n`;
}
