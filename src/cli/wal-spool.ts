import { join, resolve } from "node:path";
import type { Command } from "commander";
import { HoldfastError, must } from "../errors.ts";
import type { App } from "../app.ts";
import { chooseSource, chooseSources, openReachable } from "../operations/installation.ts";
import { pushClientScript } from "../operations/wal/push-client.ts";
import type { PushRequest } from "../operations/wal/push-wal.ts";
import { serveSpool } from "../operations/wal/spool-server.ts";
import { WalSpooler } from "../operations/wal/wal-spooler.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { OperationContext } from "../operations/context.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

interface SpoolOptions extends CommonOptions {
  readonly socket?: string;
}

const SOCKET_HELP = "where it listens (default: wal.sock in the state folder)";

export function spoolCommand(): Command {
  return newCommand("spool", "stay and archive WAL for 'wal client', several segments ahead, until stopped", "holdfast wal spool orders")
    .argument("[source]", "which source (default: all)")
    .option("--socket <path>", SOCKET_HELP)
    .action(async (name: string | undefined, options: SpoolOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        const spoolers = new Map(chooseSources(app.inventory, name).map((source) => [source.name, spoolerFor(app, source, context)]));
        const socket = socketOf(app, options);
        output.notice(`archiving for ${[...spoolers.keys()].join(", ")} on ${socket}`);
        await serveSpool({ socket, signal: context.signal, push: async (source, file) => must(spoolers.get(source) ?? unknownSource(source), "a spooler").push(file) });
        output.result({ socket, sources: [...spoolers.keys()] }, () => "stopped\n");
        return 0;
      }),
    );
}

export function clientCommand(): Command {
  return newCommand(
    "client",
    "print a small program for archive_command that asks 'wal spool', and archives by itself where nobody answers",
    "holdfast wal client orders > /etc/holdfast/archive-orders",
  )
    .argument("[source]", "which source (may be left out where there is one)")
    .option("--socket <path>", SOCKET_HELP)
    .action(async (name: string | undefined, options: SpoolOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const source = chooseSource(app.inventory, name).name;
        const direct = [process.execPath, resolve(must(process.argv[1], "a program")), "wal", "push", "--config", app.inventory.file, source];
        const client = { source, socket: socketOf(app, options), direct };
        output.result({ ...client, program: pushClientScript(client) }, () => pushClientScript(client));
        return 0;
      }),
    );
}

/** Repositories are looked at anew so often: one that was away may be back. */
const LOOK_AGAIN_MS = 10_000;

function spoolerFor(app: App, { name, policy }: SourceConfig, context: OperationContext): WalSpooler {
  let opened: { readonly at: number; readonly repositories: Promise<PushRequest["repositories"]> } | null = null;
  const open = async (): Promise<PushRequest["repositories"]> => {
    const { repositories, away } = await openReachable(app, policy.log?.repositories ?? []);
    for (const { name: repository, error } of away) context.onNotice(`${repository}: ${error.message}`);
    const [first, ...others] = repositories;
    if (first === undefined) throw new HoldfastError("HF-CONFIG", `the policy ${policy.name} has no log backup`, { hint: "add backups.log to it" });
    return [first, ...others];
  };
  return new WalSpooler({
    source: name,
    context,
    repositories: async () => {
      const now = context.clock.monotonicMs();
      if (opened === null || now - opened.at >= LOOK_AGAIN_MS) {
        const repositories = open();
        opened = { at: now, repositories };
        repositories.catch(() => (opened = null));
      }
      return opened.repositories;
    },
  });
}

function unknownSource(source: string): never {
  throw new HoldfastError("HF-USAGE", `this spooler archives nothing for ${JSON.stringify(source)}`, { hint: "see 'holdfast wal spool --help'" });
}

function socketOf({ inventory }: App, { socket }: SpoolOptions): string {
  return socket === undefined ? join(inventory.state, "wal.sock") : resolve(socket);
}
