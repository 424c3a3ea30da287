import { expect, test } from "vitest";
import { problemWithInvocation, readCommandTree } from "../support/command-help.ts";
import { fencedBlocks, markdownFiles, readProjectFile, withoutFences } from "../support/markdown.ts";

/**
 * The commands are a promise. Their help is kept word for word in `help/`, so that a change is seen in review (accept it with `npx vitest run --project golden -u`),
 * and what the documentation tells people to type must be there.
 */
const tree = await readCommandTree();
const commands = [...tree.values()];

/** Flags that the documentation names by themselves and that belong to another program. */
const FLAGS_OF_OTHERS = new Set(["--immediate", "--every-signature"]);
/** Reads like a command and is none: the first line of an object in the repository. */
const NO_COMMANDS = new Set(["contents 1", "expelled 1"]);

interface Mention {
  readonly where: string;
  readonly text: string;
}

test("there are commands", () => {
  expect(commands.length).toBeGreaterThan(15);
});

test.each(commands.map(({ name }) => name))("'holdfast %s --help' says what it said", async (name) => {
  await expect(tree.get(name)?.text).toMatchFileSnapshot(`help/${name === "" ? "holdfast" : name.replaceAll(" ", "-")}.txt`);
});

test.each(commands.filter(({ subcommands }) => subcommands.length === 0).map(({ name }) => name))("the help of 'holdfast %s' ends with an example that could be typed", (name) => {
  const example = /\nExample:\n {2}(.+)\n$/.exec(tree.get(name)?.text ?? "")?.[1] ?? "";
  const written = /holdfast ([^']+)/.exec(example)?.[1] ?? "";
  expect(`${written} `).toMatch(new RegExp(`^${name} `));
  expect(problemWithInvocation(tree, written)).toBeNull();
});

test("every command and flag that the documentation tells people to type exists", () => {
  const mentions = markdownFiles().flatMap((file) => invocationsIn(file, readProjectFile(file)));
  expect(mentions.length).toBeGreaterThan(20);
  expect(mentions.map(({ where, text }) => [where, text, problemWithInvocation(tree, text)]).filter(([, , problem]) => problem !== null)).toEqual([]);
});

test("every flag that the documentation names by itself exists", () => {
  const known = new Set(commands.flatMap(({ flags }) => [...flags]));
  const mentions = markdownFiles().flatMap((file) => flagsIn(file, readProjectFile(file)));
  expect(mentions.length).toBeGreaterThan(3);
  expect(mentions.filter(({ text }) => !known.has(text) && !FLAGS_OF_OTHERS.has(text))).toEqual([]);
});

test.each([
  ["bakcup orders", "there is no command 'bakcup'"],
  ["wal pull orders", "there is no command 'wal pull'"],
  ["backup orders --tpye full", "'backup' has no --tpye"],
  ["backup orders --type full", null],
  ["--version", null],
])("the check sees what is wrong with 'holdfast %s'", (written, problem) => {
  expect(problemWithInvocation(tree, written)).toBe(problem);
});

test("the check finds commands in blocks, after other words, and in the middle of a line of prose", () => {
  const markdown =
    'One `holdfast aa --x`.\n\n```sh\nKEY=1 holdfast bb --y | tee log\nnpx holdfast cc   # holdfast is good\n```\n\nNot holdfast dd, but `--zz` and `"holdfast ee"`.\n';
  expect(invocationsIn("f", markdown).map(({ text }) => text)).toEqual(["bb --y", "cc", "aa --x", "ee"]);
  expect(flagsIn("f", markdown)).toEqual([{ where: "f", text: "--zz" }]);
});

/** `holdfast …` in fenced blocks of commands and in code within prose, up to the end of the command. */
function invocationsIn(file: string, markdown: string): Mention[] {
  const lines = fencedBlocks(markdown)
    .filter(({ language }) => language !== "yaml")
    .flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"))
    .map((line) => line.replace(/(^|\s)#.*$/, ""));
  const spans = [...withoutFences(markdown).matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
  return [...lines, ...spans].flatMap((text) =>
    [...text.matchAll(/(?:^|[\s'"=])holdfast ((?:[^\s'"|;&>][^'"|;&>]*)?)/g)]
      .map((match) => ({ where: file, text: (match[1] ?? "").trim() }))
      .filter(({ text: written }) => written !== "" && !NO_COMMANDS.has(written)),
  );
}

function flagsIn(file: string, markdown: string): Mention[] {
  return [...withoutFences(markdown).matchAll(/`(--[a-z-]+)[^`]*`/g)].map((match) => ({ where: file, text: match[1] ?? "" }));
}
