import type { Command } from "commander";
import { Command as Group } from "commander";
import { formatLsn } from "../domain/lsn.ts";
import { HoldfastError, messageOf, must } from "../errors.ts";
import { readAhead } from "../operations/wal/read-ahead.ts";
import { getWal } from "../operations/wal/get-wal.ts";
import type { WalOwner } from "../operations/wal/get-wal.ts";
import type { CopyView } from "../operations/copy-view.ts";
import { chooseSource, hasLogIn, openReachable } from "../operations/installation.ts";
import { pushWal } from "../operations/wal/push-wal.ts";
import { runStream } from "../operations/wal/run-log.ts";
import { clientCommand, spoolCommand } from "./wal-spool.ts";
import { newCommand, openReading, openViews, perform, withoutInventory } from "./action.ts";
import type { CommonOptions } from "./action.ts";

/** PostgreSQL reads the exit codes of these: anything above 125 makes it stop and try again, anything below means what it says. */
const GET_EXIT = { delivered: 0, doesNotExist: 1, failed: 126 } as const;
const HIGHEST_PUSH_EXIT = 125;

export function walCommand(): Command {
  const group = new Group("wal").description("the log side: stream it, push it, get it, look at it");
  return group.addCommand(streamCommand()).addCommand(pushCommand()).addCommand(getCommand()).addCommand(statusCommand()).addCommand(spoolCommand()).addCommand(clientCommand());
}

function streamCommand(): Command {
  return newCommand("stream", "stream WAL into the repositories until stopped ('serve' does it too)", "holdfast wal stream orders")
    .argument("[source]", "which source (may be left out where there is one)")
    .action(async (source: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        let last = "";
        try {
          await runStream(app, chooseSource(app.inventory, source), context, { onPosition: ({ durable }) => void (last = formatLsn(durable)), wait: true });
        } catch (error) {
          // Being stopped is how it ends, also before it has begun.
          if (!context.signal.aborted) throw error;
        }
        output.result({ durableLsn: last === "" ? null : last }, () => `stopped${last === "" ? "" : `; durable up to ${last}`}\n`);
        return 0;
      }),
    );
}

function pushCommand(): Command {
  return newCommand("push", "archive one file, for archive_command", "archive_command = 'holdfast wal push orders %p'")
    .argument("<source>", "which source")
    .argument("<path>", "the file, as PostgreSQL gives it in %p")
    .action(async (source: string, file: string, options: CommonOptions) =>
      perform(
        options,
        async ({ output, context, openApp }) => {
          const app = await openApp();
          const config = chooseSource(app.inventory, source);
          const { repositories, away } = await openReachable(app, config.policy.log?.repositories ?? []);
          for (const { name, error } of away) output.notice(`note: ${name}: ${error.message}`);
          const [first, ...others] = repositories;
          if (first === undefined) throw new HoldfastError("HF-CONFIG", `the policy ${config.policy.name} has no log backup`, { hint: "add backups.log to it" });
          const result = await pushWal({ source: config.name, file, repositories: [first, ...others] }, context);
          output.result(result, () => "");
          return 0;
        },
        (_, exitCode) => Math.min(exitCode, HIGHEST_PUSH_EXIT),
      ),
    );
}

function getCommand(): Command {
  return withoutInventory(newCommand("get", "fetch one file, for restore_command", "restore_command = 'holdfast wal get orders %f %p'"))
    .argument("<source>", "which source")
    .argument("<file>", "its name, as PostgreSQL gives it in %f")
    .argument("<path>", "where to, as PostgreSQL gives it in %p")
    .option("--from <repository>", "from this copy")
    .option("--cluster <system identifier>", "of a cluster that the source was bound to before (see 'holdfast info')")
    .option("--ahead <count>", "also fetch so many that follow, into the same folder under their names", "0")
    .action(async (source: string, file: string, destination: string, options: CommonOptions & { from?: string; cluster?: string; ahead: string }) =>
      perform(
        options,
        async (tools) => {
          const reading = await openReading(source, options, tools);
          const owner = { source: reading.name, cluster: options.cluster ?? null };
          const outcome = await getFromAny(reading.repositories, owner, file, destination, tools.output.notice);
          if (outcome === "delivered") await readAhead(reading.repositories, owner, { file, destination, count: Number(options.ahead) });
          return outcome === "delivered" ? GET_EXIT.delivered : GET_EXIT.doesNotExist;
        },
        () => GET_EXIT.failed,
      ),
    );
}

/** From the first copy that has it. "Does not exist" only where every copy says so. */
async function getFromAny(
  repositories: Awaited<ReturnType<typeof openReading>>["repositories"],
  owner: WalOwner,
  file: string,
  destination: string,
  notice: (text: string) => void,
): Promise<"delivered" | "does-not-exist"> {
  let failure: Error | null = null;
  for (const repository of repositories) {
    try {
      if ((await getWal(repository, owner, file, destination)) === "delivered") return "delivered";
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(messageOf(error));
      notice(`note: ${repository.name}: ${messageOf(error)}`);
    }
  }
  if (failure !== null) throw failure;
  return "does-not-exist";
}

function statusCommand(): Command {
  return withoutInventory(newCommand("status", "what WAL there is, how far it reaches, and where it has gaps", "holdfast wal status orders"))
    .argument("[source]", "which source (may be left out where there is one)")
    .action(async (source: string | undefined, options: CommonOptions) =>
      perform(options, async (tools) => {
        const reading = await openReading(source, options, tools);
        const views = await openViews(reading);
        const hasLog = ({ repository }: CopyView): boolean | null => (reading.config === null ? null : hasLogIn(reading.config, repository.name));
        const copies = views.map((view) => ({
          repository: view.repository.name,
          timeline: view.newestTimeline,
          segments: view.inventory.segments.size,
          unfinished: view.inventory.parts.size,
          endLsn: view.newestTimeline === null ? null : formatLsn(view.endOfWal(must(view.histories.get(view.newestTimeline), "a history"))),
          streamedTo: view.stream?.position?.lsn ?? null,
          coveredUntil: view.stream?.position?.coveredUntil ?? null,
          streaming: view.stream?.state === "held",
          gaps: view.gaps(hasLog(view)).map(({ timeline, firstSegment, lastSegment }) => ({ timeline, firstSegment, lastSegment })),
        }));
        tools.output.result({ copies }, () =>
          copies
            .map(
              (copy) =>
                `${copy.repository}: ${copy.segments} segments, up to ${copy.endLsn ?? "nothing"} on timeline ${copy.timeline ?? "unknown"}; ${copy.gaps.length} gaps; ${copy.streaming ? "streaming" : "not streaming"}\n`,
            )
            .join(""),
        );
        return copies.some((copy) => copy.gaps.length > 0) ? 1 : 0;
      }),
    );
}
