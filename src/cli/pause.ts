import type { Command } from "commander";
import { accountName } from "../config.ts";
import { parseDuration } from "../domain/duration.ts";
import { parseTime, toDate } from "../domain/timestamp.ts";
import { HoldfastError } from "../errors.ts";
import { chooseSource } from "../operations/installation.ts";
import { pauseSource, resumeSource } from "../operations/pause-source.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

interface PauseOptions extends CommonOptions {
  readonly reason: string;
  readonly until: string;
}

export function pauseCommand(): Command {
  return newCommand("pause", "leave a source alone by schedule for a while; on record, and it ends by itself", 'holdfast pause orders --reason "storage is being moved" --until 4h')
    .argument("[source]", "which source (may be left out where there is one)")
    .requiredOption("--reason <text>", "shown to everybody who wonders why nothing runs, and in every report")
    .requiredOption("--until <time>", "when it ends by itself: a time with its zone, or how long from now (30m, 4h, 2d)")
    .action(async (name: string | undefined, options: PauseOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const source = chooseSource(app.inventory, name);
        const pause = await pauseSource(app, { source, reason: options.reason, until: parseUntil(options.until, app.clock.now()), by: accountName() });
        output.result({ ...pause }, () => `${source.name} is paused until ${pause.until}: scheduled work is skipped, the WAL stream goes on\n`);
        return 0;
      }),
    );
}

export function resumeCommand(): Command {
  return newCommand("resume", "end the pause of a source now", "holdfast resume orders")
    .argument("[source]", "which source (may be left out where there is one)")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const source = chooseSource(app.inventory, name);
        const ended = await resumeSource(app, { source, by: accountName() });
        output.result({ source: source.name, ended }, () => (ended === 0 ? `${source.name} was not paused\n` : `${source.name} goes on by schedule\n`));
        return 0;
      }),
    );
}

function parseUntil(text: string, now: Date): Date {
  const seconds = parseDuration(text);
  if (seconds !== null) return new Date(now.getTime() + seconds * 1000);
  const moment = parseTime(text);
  if (typeof moment === "bigint") return toDate(moment);
  const why = moment === "no-zone" ? `--until has no zone: ${JSON.stringify(text)}` : `--until is neither a time nor a duration: ${JSON.stringify(text)}`;
  throw new HoldfastError("HF-USAGE", why, { hint: "2026-12-24T18:00Z, or 4h" });
}
