import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

/** `npm run check`: everything that can be said about the code without running it. One line a tool, and what a tool that is not content has to say. */
const TOOLS = [
  { name: "tsc", does: "types", args: ["--noEmit"] },
  { name: "oxlint", does: "rules, with types", args: ["--type-aware", "--deny-warnings"] },
  { name: "oxfmt", does: "layout ('npm run format' corrects it)", args: ["--check", "."] },
  { name: "knip", does: "unused files, exports and dependencies", args: ["--no-progress"] },
] as const;

const ROOT = join(import.meta.dirname, "..");
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

let failed = 0;
for (const tool of TOOLS) {
  const started = performance.now();
  const complaint = await run(tool.name, tool.args);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${complaint === null ? "ok  " : "FAIL"} ${tool.name.padEnd(7)} ${tool.does} (${seconds} s)`);
  if (complaint !== null) {
    console.log(complaint.trimEnd());
    failed++;
  }
}
console.log(failed === 0 ? "check: ok" : `check: ${failed} of ${TOOLS.length} tools object`);
process.exitCode = failed === 0 ? 0 : 1;

/** Null if the tool is content, else what it printed. */
async function run(name: string, args: readonly string[]): Promise<string | null> {
  try {
    await promisify(execFile)(join(ROOT, "node_modules", ".bin", name), args, { cwd: ROOT, maxBuffer: MAX_OUTPUT_BYTES });
    return null;
  } catch (error) {
    const said = error instanceof Error && "stdout" in error && "stderr" in error ? `${String(error.stdout)}${String(error.stderr)}` : "";
    return said.trim() === "" ? String(error) : said;
  }
}
