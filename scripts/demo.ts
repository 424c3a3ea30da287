import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createContext, createOutput, formatBytes, interruptible, reportError } from "../src/cli/output.ts";
import { formatSeconds } from "../src/domain/duration.ts";
import { systemClock } from "../src/clock.ts";
import { codeOf, HoldfastError, messageOf } from "../src/errors.ts";
import { requireReachable, serverUser } from "../src/postgres/process.ts";
import { runDemo } from "./demo-run.ts";
import type { DemoFigures } from "./demo-run.ts";
import { startDemoSource } from "./demo-source.ts";

/** `npm run demo`: the main job from start to finish on a PostgreSQL of its own, in a folder of its own. All figures are measured. */
const MARKER = ".holdfast-demo";

const { values } = parseArgs({
  options: {
    dir: { type: "string", default: "./demo-data" },
    json: { type: "boolean", default: false },
    serve: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const output = createOutput(values.json);

if (values.help)
  process.stdout.write(
    "npm run demo -- [--dir FOLDER] [--json] [--serve]\n\n  --dir    where everything goes (default ./demo-data)\n  --json   all figures as one document on standard output\n  --serve  afterwards keep the source, the scheduler and the dashboard (http://127.0.0.1:8420) running\n",
  );
else {
  const signal = interruptible();
  const context = createContext(systemClock, signal, output);
  try {
    process.exitCode = await demo(path.resolve(values.dir));
  } catch (error) {
    context.finish();
    process.exitCode = reportError(signal.aborted ? signal.reason : error, output);
  }

  async function demo(wanted: string): Promise<number> {
    const folder = await openFolder(wanted);
    await using source = await startDemoSource(folder);
    const figures = await runDemo({ folder, source, context, say: (text) => output.notice(text) });
    context.finish();
    output.result(figures, () => describe(figures, folder));
    if (values.serve) await keepServing(folder, source.url, signal);
    return figures.drill.verdict === "pass" || figures.drill.verdict === "pass_with_warnings" ? 0 : 1;
  }
}

/** `prepareFolder` with what the filesystem said turned into what to do about it. */
async function openFolder(wanted: string): Promise<string> {
  try {
    return await prepareFolder(wanted);
  } catch (error) {
    throw error instanceof HoldfastError ? error : unusable(wanted, error);
  }
}

function unusable(folder: string, cause: unknown): HoldfastError {
  return new HoldfastError("HF-USAGE", `the demo cannot use ${folder}: ${messageOf(cause)}`, { hint: "choose a folder of your own with --dir", cause });
}

/** An empty folder that PostgreSQL's user can reach. A folder of an earlier demo is cleared; anything else is left alone. As root in a closed place (root's own home) the data lie in the temporary folder, with a link. */
async function prepareFolder(wanted: string): Promise<string> {
  const names = await readdir(wanted).catch((error: unknown): string[] => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
  if (names.length > 0 && !names.includes(MARKER))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${wanted} is not empty, and not of an earlier demo`, { hint: "choose another with --dir" });
  await rm(wanted, { recursive: true, force: true });
  await mkdir(path.dirname(wanted), { recursive: true });
  const reachable = await requireReachable(path.dirname(wanted), await serverUser(null)).then(
    () => true,
    () => false,
  );
  let folder = wanted;
  if (reachable) await mkdir(wanted);
  else {
    folder = await mkdtemp(path.join(tmpdir(), "holdfast-demo-"));
    await symlink(folder, wanted);
  }
  await writeFile(path.join(folder, MARKER), "");
  // mkdtemp makes it private; PostgreSQL's user has to pass through.
  await chmod(folder, 0o755);
  return folder;
}

/** `holdfast serve` on the demo's inventory, until Ctrl-C. */
async function keepServing(folder: string, url: string, signal: AbortSignal): Promise<void> {
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, "serve", "--config", path.join(folder, "holdfast.yaml")], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, DEMO_SOURCE_URL: url },
  });
  signal.addEventListener("abort", () => child.kill("SIGTERM"));
  await once(child, "exit");
}

function describe(figures: DemoFigures, folder: string): string {
  const backups = figures.backups.map(
    (backup) =>
      `  ${backup.id.padEnd(24)} ${formatBytes(backup.storedBytes).padStart(10)} stored of ${formatBytes(backup.sourceBytes)}, ${formatBytes(backup.readBytes)} read, ${formatSeconds(backup.durationSeconds)}`,
  );
  const { drill } = figures;
  const objective = (actual: number | null, wanted: number | null): string =>
    actual === null ? "unknown" : `${formatSeconds(actual)}${wanted === null ? "" : `, objective ${formatSeconds(wanted)}: ${actual <= wanted ? "held" : "BREACHED"}`}`;
  const lines = [
    "",
    `PostgreSQL ${figures.source.version}, ${formatBytes(figures.source.bytes)}, with ${figures.source.commits} commits while this ran`,
    "Backups",
    ...backups,
    `WAL: ${figures.wal.segments} segments, a commit was durable within ${figures.wal.lagSeconds === null ? "unknown" : formatSeconds(figures.wal.lagSeconds)}, ${figures.wal.gaps.length} gaps`,
    `Verification: ${figures.verify.ok ? "no damage" : "DAMAGE"} in ${figures.verify.objects} objects, to tier ${figures.verify.tier}`,
    `Drill: ${drill.verdict}, ${drill.checks.filter(({ outcome }) => outcome === "pass").length} of ${drill.checks.length} checks`,
    `  recovery time  ${objective(drill.rtoActualSeconds, drill.rtoObjectiveSeconds)}`,
    `  recovery point ${objective(drill.rpoActualSeconds, drill.rpoObjectiveSeconds)}`,
    `Report: ${figures.report.path} (${figures.report.evidenceEntries} evidence entries, signed)`,
    "",
    "Look around:",
    `  npx holdfast info --config ${path.join(folder, "holdfast.yaml")}`,
    `  npx holdfast restore --config ${path.join(folder, "holdfast.yaml")} --to latest --target /tmp/restored --plan`,
    ...(existsSync(path.join(folder, "report.html")) ? [`  open ${path.join(folder, "report.html")}`] : []),
    "  npm run demo -- --serve     keeps the scheduler, the API and the dashboard running, on http://127.0.0.1:8420",
    "",
  ];
  return lines.join("\n");
}
