import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { markdownFiles, PROJECT_ROOT, readProjectFile, withoutFences } from "../support/markdown.ts";

/** Links between documents lead somewhere: to a file that is there, and to a heading that is in it. */
const files = markdownFiles();

test("the documents that people are sent to are there", () => {
  expect(files).toEqual(expect.arrayContaining(["README.md", "CHANGELOG.md", "docs/architecture.md", "docs/glossary.md", "docs/invariants.md", "docs/repository-format.md"]));
});

test.each(files)("every relative link in %s resolves", (file) => {
  expect(brokenLinks(file, readProjectFile(file))).toEqual([]);
});

test("the check sees links to a file and to a heading that are not there", () => {
  const markdown = "[a](docs/none.md) [b](README.md#nothing-like-it) [c](README.md#exit-codes) [d](https://example.com/x) `[e](none)`\n";
  expect(brokenLinks("CHANGELOG.md", markdown)).toEqual(["docs/none.md", "README.md#nothing-like-it"]);
});

function brokenLinks(file: string, markdown: string): string[] {
  const prose = withoutFences(markdown).replaceAll(/`[^`\n]*`/g, "");
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "").filter((target) => !/^[a-z]+:/.test(target));
  return targets.filter((target) => {
    const [path = "", heading] = target.split("#");
    const linked = path === "" ? file : join(dirname(file), path);
    if (!existsSync(join(PROJECT_ROOT, linked))) return true;
    return heading !== undefined && !headingsOf(readProjectFile(linked)).has(heading);
  });
}

/** Anchors as the forges make them: lower case, punctuation dropped, spaces to hyphens. */
function headingsOf(markdown: string): Set<string> {
  const titles = [...withoutFences(markdown).matchAll(/^#{1,6} (.+)$/gm)].map((match) => match[1] ?? "");
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}
