import { Command } from "commander";
import { openApp } from "../app.ts";
import { openBareRepository } from "../open-stores.ts";
import type { App } from "../app.ts";
import { systemClock } from "../clock.ts";
import { readEnvironment } from "../config.ts";
import { armCrashPoint } from "../crash-points.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import type { OperationContext } from "../operations/context.ts";
import { CopyView } from "../operations/copy-view.ts";
import { byNearness, chooseSource, repositoriesOf } from "../operations/installation.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { SourceKind } from "../domain/source-kind.ts";
import { readBinding } from "../repository/binding.ts";
import { keys } from "../repository/layout.ts";
import { isOfThisCopy } from "../repository/map-reader.ts";
import type { Repository } from "../repository/repository.ts";
import { findKey } from "./find-key.ts";
import { createContext, createOutput, interruptible, reportError } from "./output.ts";
import type { Output } from "./output.ts";

/** Options that every command has, and those of commands that also work by a repository's address alone. */
export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly repository?: string;
  readonly key?: string;
  readonly endpoint?: string;
  readonly region?: string;
}

export interface Tools {
  readonly output: Output;
  readonly context: OperationContext;
  readonly openApp: () => Promise<App>;
}

export function newCommand(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .option("--config <file>", "the inventory (default: $HOLDFAST_CONFIG, ./holdfast.yaml, /etc/holdfast/holdfast.yaml)")
    .option("--json", "one JSON document on standard output")
    .addHelpText("after", `\nExample:\n  ${example}`);
}

/** Adds the options of commands that need no inventory. */
export function withoutInventory(command: Command): Command {
  return command
    .option("--repository <url>", "work on this repository alone, without an inventory (file:///path or s3://bucket/prefix)")
    .option("--endpoint <url>", "of an S3 server that is not Amazon's; credentials come from the environment")
    .option("--region <name>", "of the bucket")
    .option("--key <reference>", "its passphrase or identity: env:NAME or file:/path (default: $HOLDFAST_KEY, else asked for)");
}

/** Runs a command: its result goes out, its errors become two lines and an exit code, and whatever it opened is closed. */
export async function perform(
  options: CommonOptions,
  act: (tools: Tools) => Promise<number>,
  mapError: (error: unknown, exitCode: number) => number = (_, code) => code,
): Promise<void> {
  const output = createOutput(options.json === true);
  armCrashPoint(readEnvironment().crashAt);
  const signal = interruptible();
  const context = createContext(systemClock, signal, output);
  const opened: App[] = [];
  const tools: Tools = {
    output,
    context,
    openApp: async () => {
      const app = await openApp({ config: options.config, clock: systemClock, onNotice: (text) => output.notice(`note: ${text}`) });
      opened.push(app);
      return app;
    },
  };
  try {
    process.exitCode = await act(tools);
  } catch (error) {
    context.finish();
    process.exitCode = mapError(error, reportError(signal.aborted ? signal.reason : error, output));
  } finally {
    context.finish();
    for (const app of opened) await app[Symbol.asyncDispose]();
  }
}

/** What a reading command works on: the copies of one source, from the inventory or from a bare repository. */
export interface Reading {
  readonly name: string;
  readonly app: App | null;
  readonly config: SourceConfig | null;
  readonly repositories: readonly Repository[];
}

export async function openReading(sourceName: string | undefined, options: CommonOptions & { from?: string }, tools: Tools): Promise<Reading> {
  if (options.repository !== undefined) {
    const repository = await openBareRepository(options.repository, await findKey(options.key), options);
    return { name: await chooseStored(repository, sourceName), app: null, config: null, repositories: [repository] };
  }
  const app = await tools.openApp();
  const config = chooseSource(app.inventory, sourceName);
  const names = options.from === undefined ? byNearness(app.inventory, repositoriesOf(config)) : [options.from];
  const repositories: Repository[] = [];
  let failure: unknown = null;
  for (const name of names) {
    try {
      repositories.push(await app.repository(name));
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code === "HF-USAGE") throw error;
      failure ??= error;
      if (names.length > 1) tools.output.notice(`note: ${name}: ${error.message}`);
    }
  }
  if (repositories.length === 0) throw failure;
  return { name: config.name, app, config, repositories };
}

/** What kind of source is read; null: nothing of it is there. */
export async function kindOf({ config, repositories, name }: Reading): Promise<SourceKind | null> {
  if (config !== null) return config.kind;
  const [repository] = repositories;
  return repository === undefined ? null : ((await readBinding(repository, name))?.kind ?? null);
}

/** For what takes opening: rejects where no copy can be opened here, before anything is touched. */
export function requireOpenable({ repositories }: Reading): void {
  if (repositories.some(({ keyRing }) => keyRing.canOpenData || keyRing.canOpenFormer)) return;
  throw new HoldfastError("HF-KEY", `this host only writes in ${repositories.map(({ name }) => name).join(", ")}: it holds nothing that opens what is there`, {
    hint: "do it where the passphrase is; or here with '--repository URL --key env:NAME' (or file:/path)",
  });
}

async function chooseStored(repository: Repository, name: string | undefined): Promise<string> {
  const stored = (await repository.store.listNames(keys.allSources())).map((entry) => entry.slice(0, -1));
  const chosen = name ?? (stored.length === 1 ? stored[0] : undefined);
  if (chosen !== undefined && stored.includes(chosen)) return chosen;
  const hint = stored.length === 0 ? "the repository is empty" : `it holds: ${stored.join(", ")}`;
  throw new HoldfastError("HF-USAGE", name === undefined ? "which source?" : `the repository holds no source ${JSON.stringify(name)}`, { hint, facts: { sources: stored } });
}

/** What copies hold of clusters that the source was bound to before. One that cannot say is left out: 'verify' tells. */
export async function formerViews(views: readonly CopyView[]): Promise<CopyView[]> {
  const former = views.map(async (view) =>
    view.former().catch((error: unknown) => {
      if (!isOfThisCopy(error)) throw error;
      return [];
    }),
  );
  return (await Promise.all(former)).flat();
}

/** The copies that hold something of the source. One that cannot be looked at is left out, with a word, while there is another. */
export async function openViews(reading: Reading, notice: (text: string) => void = () => undefined): Promise<CopyView[]> {
  const views: CopyView[] = [];
  const failures: unknown[] = [];
  const opening = reading.repositories.map((repository) => ({ repository, view: CopyView.open(repository, reading.name) }));
  // Each is waited for in turn, and its failure seen then.
  for (const { view } of opening) view.catch(() => undefined);
  for (const { repository, view } of opening) {
    try {
      const found = await view;
      if (found !== null) views.push(found);
    } catch (error) {
      if (!isOfThisCopy(error)) throw error;
      failures.push(error);
      if (opening.length > 1) notice(`note: ${repository.name}: ${messageOf(error)}`);
    }
  }
  if (views.length === 0 && failures.length > 0) throw failures[0];
  return views;
}
