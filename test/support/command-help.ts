import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import pMap from "p-map";
import { PROJECT_ROOT } from "./markdown.ts";

/** What the program says of itself: every command with its `--help`, found by following the lists of commands in it. */
interface CommandHelp {
  /** The words after `holdfast`: empty for the program itself, `wal push` for a command in a group. */
  readonly name: string;
  readonly text: string;
  readonly flags: ReadonlySet<string>;
  /** Empty: a command, not a group. */
  readonly subcommands: readonly string[];
}

export type CommandTree = ReadonlyMap<string, CommandHelp>;

const MAIN = join(PROJECT_ROOT, "src/main.ts");
/** Commander's own; it takes any word for a command. */
const OWN_HELP = "help";
const AT_ONCE = 2;

export async function readCommandTree(): Promise<CommandTree> {
  const tree = new Map<string, CommandHelp>();
  let level = [""];
  while (level.length > 0) {
    const helps = await pMap(level, readHelp, { concurrency: AT_ONCE });
    for (const help of helps) tree.set(help.name, help);
    level = helps.flatMap(({ name, subcommands }) => subcommands.map((word) => `${name} ${word}`.trim()));
  }
  return tree;
}

async function readHelp(name: string): Promise<CommandHelp> {
  const words = name === "" ? [] : name.split(" ");
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...words, "--help"], { env: { ...process.env, NO_COLOR: "1", COLUMNS: "80" } });
  const section = (title: string): string => new RegExp(`^${title}:\\n((?:  .*\\n)+)`, "m").exec(stdout)?.[1] ?? "";
  return {
    name,
    text: stdout,
    flags: new Set([...section("Options").matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map((match) => match[1] ?? "")),
    subcommands: [...section("Commands").matchAll(/^ {2}([a-z][a-z-]*)/gm)].map((match) => match[1] ?? "").filter((word) => word !== OWN_HELP),
  };
}

/** What is wrong with `holdfast …` as somebody wrote it down, without the word `holdfast`; null if it could be typed. */
export function problemWithInvocation(tree: CommandTree, written: string): string | null {
  const words = written.trim().split(/\s+/);
  let name = "";
  for (let word = words[0]; word !== undefined && (tree.get(name)?.subcommands.length ?? 0) > 0; word = words[0]) {
    if (word.startsWith("-")) break;
    const next = `${name} ${word}`.trim();
    if (!tree.has(next)) return `there is no command '${next}'`;
    name = next;
    words.shift();
  }
  const flags = words.map((word) => /^--[a-z-]+/.exec(word)?.[0]).filter((flag) => flag !== undefined);
  const unknown = flags.find((flag) => tree.get(name)?.flags.has(flag) !== true);
  return unknown === undefined ? null : `'${name}' has no ${unknown}`;
}
