import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The documentation as text: which files there are, and what is in them that can be checked. */
export const PROJECT_ROOT = join(import.meta.dirname, "../..");

export interface FencedBlock {
  readonly language: string;
  readonly text: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;

/** Relative paths of all Markdown files that belong to the project, also those not yet committed. */
export function markdownFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], { cwd: PROJECT_ROOT, encoding: "utf8" });
  return listed.split("\n").filter((file) => file !== "");
}

export function readProjectFile(file: string): string {
  return readFileSync(join(PROJECT_ROOT, file), "utf8");
}

export function fencedBlocks(markdown: string): FencedBlock[] {
  return [...markdown.matchAll(FENCE)].map((match) => {
    const [, language = "", text = ""] = match;
    return { language, text: text.trimEnd(), line: markdown.slice(0, match.index).split("\n").length };
  });
}

/** What is written as prose: fenced blocks taken out, lines kept. */
export function withoutFences(markdown: string): string {
  return markdown.replaceAll(FENCE, (block) => "\n".repeat(block.split("\n").length - 1));
}
