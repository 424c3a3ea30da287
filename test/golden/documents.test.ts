import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { markdownFiles, PROJECT_ROOT, readProjectFile } from "../support/markdown.ts";

/** Documents that name code: what they name is there. */
const INVARIANTS = readProjectFile("docs/invariants.md");
const REFERENCE = /`((?:src|test|docs|jobs|scripts)\/[^`:*]+)(?:: ([^`]+))?`/g;

interface Reference {
  readonly file: string;
  /** A function, class or constant of a source file, or words of a test's title. */
  readonly name: string | undefined;
}

function referencesIn(markdown: string): Reference[] {
  return [...markdown.matchAll(REFERENCE)].map((match) => ({ file: match[1] ?? "", name: match[2] }));
}

/** Null: it is there. */
function problemWith({ file, name }: Reference): string | null {
  if (!existsSync(join(PROJECT_ROOT, file))) return `${file} is not there`;
  if (name === undefined) return null;
  const text = readProjectFile(file);
  const isThere = file.startsWith("test/") ? text.includes(name) : new RegExp(`\\b(?:function\\*?|class|const) ${name}\\b`).test(text);
  return isThere ? null : `${file} has no ${name}`;
}

test("every invariant names code and a test, and all of them exist", () => {
  const rows = INVARIANTS.split("\n").filter((line) => /^\| \d+ \|/.test(line));
  expect(rows.map((row) => Number(/\d+/.exec(row)?.[0]))).toEqual(rows.map((_, i) => i + 1));
  for (const row of rows) {
    const [, , , held = "", red = ""] = row.split("|");
    expect(referencesIn(held), row).not.toEqual([]);
    const tests = referencesIn(red);
    expect(tests.length > 0 && tests.every(({ file }) => file.startsWith("test/")), row).toBe(true);
  }
  expect(
    referencesIn(INVARIANTS)
      .map(problemWith)
      .filter((problem) => problem !== null),
  ).toEqual([]);
});

test.each(markdownFiles().filter((file) => file === "README.md" || file.startsWith("docs/")))("every file of code that %s names exists", (document) => {
  expect(
    referencesIn(readProjectFile(document))
      .map(problemWith)
      .filter((problem) => problem !== null),
  ).toEqual([]);
});

test("the check sees a file, a function and a test that are not there", () => {
  const planted = "`src/none.ts: x` `src/clock.ts: nothing` `src/clock.ts: stopwatch` `test/unit/architecture.test.ts: no such title` `src/clock.ts`";
  expect(referencesIn(planted).map(problemWith)).toEqual([
    "src/none.ts is not there",
    "src/clock.ts has no nothing",
    null,
    "test/unit/architecture.test.ts has no no such title",
    null,
  ]);
});

test("docs/errors.md lists every error code with its exit code, and no other", () => {
  const listed = [...readProjectFile("docs/errors.md").matchAll(/^\| `(HF-[A-Z-]+)` \| (\d+) \|/gm)].map((match) => [match[1], Number(match[2])]);
  const table = /const ERROR_EXIT_CODES = \{([^}]*)\}/.exec(readProjectFile("src/errors.ts"))?.[1] ?? "";
  const coded = [...table.matchAll(/"(HF-[A-Z-]+)": (\d+)/g)].map((match) => [match[1], Number(match[2])]);
  expect(coded.length).toBeGreaterThan(20);
  expect(listed).toEqual(coded);
});
