import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { cacheFolder, findPostgres, missing } from "./postgres-binaries.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";

/**
 * Runs once before the tests that need PostgreSQL: finds, or unpacks, a server of each major version asked for and tells the tests.
 * What cannot be had here does not fail the run. Its suites are skipped with the reason, and `npm test` prints it.
 */
export interface AskedMajor {
  readonly major: number;
  readonly binaries: PostgresBinaries | null;
  readonly reason: string;
}

declare module "vitest" {
  interface ProvidedContext {
    postgres: AskedMajor[];
  }
}

const DEFAULT_MAJORS = "15,17";
const SCRIPT = join(import.meta.dirname, "..", "..", "scripts", "postgres-tree.sh");

export async function setup(project: TestProject): Promise<void> {
  const majors = (process.env["HOLDFAST_TEST_MAJORS"] ?? DEFAULT_MAJORS).split(",").map((text) => Number.parseInt(text, 10));
  const asked: AskedMajor[] = [];
  for (const major of majors) asked.push(await provide(major));
  project.provide("postgres", asked);
}

/** A complete installation where one can be had; what npm brings (a server without client tools) where not. */
async function provide(major: number): Promise<AskedMajor> {
  const found = await findPostgres(major);
  const complete = found.find((binaries) => binaries.origin !== "npm");
  if (complete !== undefined) return { major, binaries: complete, reason: "" };
  const refusal = await unpack(major);
  const [best] = await findPostgres(major);
  return { major, binaries: best ?? null, reason: best === undefined ? `${missing(major)}; ${refusal}` : "" };
}

/** Why there is no tree, or the empty text. */
async function unpack(major: number): Promise<string> {
  if (process.getuid?.() !== 0) return "a tree can be unpacked only as root";
  if (!(await isDebian())) return "a tree can be unpacked only on Debian";
  try {
    await promisify(execFile)(SCRIPT, [String(major), cacheFolder(major)]);
    return "";
  } catch (error) {
    return `scripts/postgres-tree.sh failed: ${lastLine(error)}`;
  }
}

async function isDebian(): Promise<boolean> {
  return access("/etc/debian_version").then(
    () => true,
    () => false,
  );
}

function lastLine(error: unknown): string {
  const text = error instanceof Error && "stderr" in error && typeof error.stderr === "string" && error.stderr !== "" ? error.stderr : String(error);
  return text.trim().split("\n").at(-1) ?? "";
}
