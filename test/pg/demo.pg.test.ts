import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DemoFigures } from "../../scripts/demo-run.ts";
import { openCatalogRuns } from "../support/catalog-runs.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { eventually } from "../support/restored.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import type { Outcome } from "../support/site.ts";

const DEMO = fileURLToPath(new URL("../../scripts/demo.ts", import.meta.url));
const NOBODY = { uid: 65_534, gid: 65_534 } as const;
const isRoot = process.getuid?.() === 0;

interface Who {
  readonly name: string;
  readonly ids: { readonly uid?: number; readonly gid?: number };
  /** Why it cannot be tried here, or null. */
  readonly reason: string | null;
}

const ordinary: Who = {
  name: "an ordinary user",
  ids: isRoot ? NOBODY : {},
  reason: isRoot && !(await canRead(NOBODY)) ? "an ordinary user cannot read the project where it lies" : null,
};
const root: Who = { name: "root", ids: {}, reason: isRoot ? null : "only root can" };

/** The first thing a person tries. Its figures are measured, so a test can only ask for what must hold of them. */
describe.each([root, ordinary])("the demo as $name", ({ name, ids, reason }) => {
  if (reason !== null) {
    test.skip(`${NOT_RUN}${reason}`);
    return;
  }
  let resources: AsyncDisposableStack;
  /** The demo's folder is one below it; its home and its temporary files are there too. */
  let home: string;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    home = stack.use(await openScratchFolder()).path;
    for (const folder of ["", "tmp", "closed"]) await mkdir(join(home, folder), { recursive: true });
    await chmod(home, 0o755);
    for (const folder of ["", "tmp"]) await chown(join(home, folder), ids.uid ?? process.getuid?.() ?? 0, ids.gid ?? process.getgid?.() ?? 0);
    await chmod(join(home, "tmp"), 0o1777);
    await writeFile(join(home, "closed/file"), "somebody's\n");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  function start(...args: readonly string[]): { ended: Promise<Outcome>; said: () => string; kill: (signal: NodeJS.Signals) => boolean } {
    const child = spawn(process.execPath, [DEMO, ...args], {
      cwd: home,
      env: { PATH: "/usr/bin:/bin", HOME: home, TMPDIR: join(home, "tmp") },
      stdio: ["ignore", "pipe", "pipe"],
      ...ids,
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<Outcome>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr, json: <T>() => JSON.parse(stdout) as T }));
    });
    return { ended, said: () => stderr, kill: (signal) => child.kill(signal) };
  }

  test("does the main job, says so in one document, and leaves nothing running", async () => {
    const outcome = await start("--json", "--dir", "demo").ended;
    expect(outcome, outcome.stderr + outcome.stdout).toMatchObject({ exitCode: 0 });
    const { source, backups, wal, verify, drill, report } = outcome.json<DemoFigures>();
    expect(source).toMatchObject({ kind: "postgres", version: expect.stringMatching(/^\d+\./) as string, systemIdentifier: expect.stringMatching(/^\d{18,20}$/) as string });
    for (const figure of [source.bytes, source.commits, wal.segments, wal.lagSeconds, verify.objects, verify.bytes, drill.rtoActualSeconds, drill.bytes])
      expect(figure).toBeGreaterThan(0);
    expect(backups.map(({ type }) => type)).toEqual(["full", "incremental", "differential", "incremental"]);
    for (const { id, state, storedBytes, readBytes, sourceBytes, durationSeconds, copies } of backups) {
      expect([id, state, copies.every((copy) => copy.state === "complete")]).toEqual([id, "complete", true]);
      for (const figure of [storedBytes, readBytes, sourceBytes, durationSeconds]) expect(figure).toBeGreaterThan(0);
    }
    const [full, ...later] = backups.map(({ storedBytes }) => storedBytes);
    expect(Math.max(...later)).toBeLessThan(full ?? 0);
    expect({ gaps: wal.gaps, ok: verify.ok, damage: verify.damage }).toEqual({ gaps: [], ok: true, damage: [] });
    expect(drill).toMatchObject({
      verdict: "pass",
      fault: null,
      rpoActualSeconds: expect.any(Number) as number,
      achievedLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) as string,
    });
    for (const check of drill.checks) expect(check).toMatchObject({ outcome: "pass" });
    // Every run has an entry when it begins and one when it has ended.
    const runs = openCatalogRuns(join(home, "demo/state/catalog.sqlite"));
    expect(runs.map(({ operation, outcome: how }) => `${operation} ${how}`)).toEqual([...backups.map(() => "backup succeeded"), "verify succeeded", "drill succeeded"]);
    // Each run has two; then there are the policy that came into force, this host in each of two repositories, the ledger of what was verified, and the report.
    expect(report.evidenceEntries).toBe(runs.length * 2 + 5);
    expect(JSON.parse(await readFile(report.path, "utf8"))).toBeTypeOf("object");
    expect(processesIn(home)).toEqual([]);
    expect(await readdir(join(home, "tmp"))).toEqual([]);
  });

  // As root also where the account of the server cannot get: the data then lie in the temporary folder.
  test(`ends cleanly where it is stopped in the middle${name === "root" ? ", in a home that is closed to the server's account" : ""}`, async () => {
    await mkdir(join(home, "private"), { mode: 0o700, recursive: true });
    const demo = start("--json", "--dir", name === "root" ? "private/demo" : "demo");
    await eventually("it takes a backup", async () => demo.said().includes("incremental backup"));
    demo.kill("SIGTERM");
    const outcome = await demo.ended;
    expect(outcome.exitCode).toBe(130);
    expect(outcome.json()).toMatchObject({ error: { code: "HF-INTERRUPTED" } });
    expect(processesIn(home)).toEqual([]);
    const left = await readdir(join(home, "tmp"));
    expect(left).toEqual(name === "root" ? [expect.stringMatching(/^holdfast-demo-/)] : []);
    for (const folder of left) await rm(join(home, "tmp", folder), { recursive: true });
  });

  const unusable: readonly (readonly [string, string, number, string])[] = [
    ["that is a file", "closed/file", 2, "HF-USAGE"],
    ["below a file", "closed/file/demo", 2, "HF-USAGE"],
    ["that holds other things", "closed", 4, "HF-TARGET-NOT-EMPTY"],
    ...(ids.uid === undefined ? [] : [["of somebody else", "closed/demo", 2, "HF-USAGE"] as const]),
  ];
  test.each(unusable)("refuses a folder %s", async (_, folder, exitCode, code) => {
    const outcome = await start("--dir", folder).ended;
    expect(outcome).toMatchObject({ exitCode, stdout: "", stderr: expect.stringMatching(new RegExp(`^error\\[${code}\\]: .+\\nhint: .+--dir\\n$`)) as string });
    expect(await readdir(join(home, "closed"))).toEqual(["file"]);
    expect(await readFile(join(home, "closed/file"), "utf8")).toBe("somebody's\n");
    expect(await readdir(join(home, "tmp"))).toEqual([]);
  });
});

/** Processes that work in a folder, or were started with its name. */
function processesIn(folder: string): string[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    .flatMap((pid) => {
      try {
        const [cwd, command] = [readlinkSync(`/proc/${pid}/cwd`), readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")];
        return cwd.startsWith(folder) || command.includes(folder) ? [`${pid} ${command} in ${cwd}`] : [];
      } catch {
        return []; // ended while we looked
      }
    });
}

async function canRead(ids: typeof NOBODY): Promise<boolean> {
  const child = spawn(process.execPath, [DEMO, "--help"], { cwd: "/", stdio: "ignore", ...ids });
  return new Promise((resolve) => {
    child.on("error", () => resolve(false));
    child.on("exit", (code) => resolve(code === 0));
  });
}
