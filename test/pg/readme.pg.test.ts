import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { fencedBlocks, PROJECT_ROOT, readProjectFile } from "../support/markdown.ts";
import type { FencedBlock } from "../support/markdown.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { freePort } from "../support/postmaster.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { serverUser } from "../support/server-user.ts";

/**
 * Every command of README.md, in order, in one shell, in an empty folder, against a real cluster. Only addresses and folders are other ones, and those
 * are named here. A block that is neither run nor listed below fails the test.
 */
const NOT_RUN_HERE: Readonly<Record<string, string>> = {
  "npm ci && npm run demo": "installs this very project again; the demo has a test of its own",
  "npm link": "writes into the global folder of npm; the same link is on the PATH here",
  "npm run check\nnpm test": "runs this test",
};

const RUN_TIMEOUT_MS = 240_000;

const blocks = fencedBlocks(readProjectFile("README.md")).filter(({ language }) => language === "sh");
const toRun = blocks.filter(({ text }) => !(text in NOT_RUN_HERE));

describePostgres("the commands of README.md", { atLeast: 15, atMost: 15, clientTools: ["psql"] }, (binaries) => {
  let resources: AsyncDisposableStack | undefined;
  let source: Cluster;
  let folder: string;
  let ports: { restored: number; bare: number; api: number };

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, durable: true }));
    folder = stack.use(await openScratchFolder()).path;
    // PostgreSQL's user passes through on its way to restored clusters.
    await chmod(folder, 0o755);
    for (const name of ["bin", "srv", "work"]) await mkdir(join(folder, name));
    await symlink(join(PROJECT_ROOT, "scripts/holdfast.mjs"), join(folder, "bin/holdfast"));
    ports = { restored: await freePort(), bare: await freePort(), api: await freePort() };
    for (const name of ["restored", "bare"]) stack.defer(() => stopServer(join(folder, "srv", name)));
    resources = stack.move();
  });

  afterAll(async () => resources?.disposeAsync());

  /** The readme's addresses and folders, as they are here. */
  function here(text: string): string {
    return text
      .replaceAll("localhost:5432", `127.0.0.1:${source.port}`)
      .replaceAll("5433", String(ports.restored))
      .replaceAll("5434", String(ports.bare))
      .replaceAll("/srv/", `${folder}/srv/`);
  }

  /** What the inventory of a machine like this one needs besides: where PostgreSQL is, and a port for the API that is free. */
  function afterInit(): string {
    return `cat >> holdfast.yaml <<'YAML'\npostgres: { binaries: ["${binaries.directory}"] }\napi: { listen: "127.0.0.1:${ports.api}" }\nYAML`;
  }

  async function script(): Promise<string> {
    const { uid, gid } = await serverUser();
    const asOwner = process.getuid?.() === 0 ? [`pg_ctl() { setpriv --reuid=${uid} --regid=${gid} --clear-groups pg_ctl "$@"; }`] : [];
    const parts = toRun.flatMap(({ text, line }) => [`echo "== README.md:${line}" >&2`, here(text), ...(text.includes("holdfast init") ? [afterInit()] : [])]);
    return ["set -euo pipefail", ...asOwner, ...parts, 'echo "== end" >&2'].join("\n");
  }

  test("end with exit code 0, all of them", { timeout: RUN_TIMEOUT_MS + 60_000 }, async () => {
    const { exitCode, output } = await runInShell(await script(), {
      cwd: join(folder, "work"),
      path: [join(folder, "bin"), dirname(process.execPath), binaries.directory, "/usr/bin", "/bin"].join(":"),
    });
    expect(exitCode, output).toBe(0);
    expect(output).toContain("== end");
    // The dropped table is back with all of its rows, and only in the restored cluster.
    expect(output).toMatch(/count\s*\n-+\n\s*1000\n/);
    expect(await source.sql("select to_regclass('invoices') is null as gone")).toEqual([{ gone: "t" }]);
    expect(JSON.parse(await readFile(join(folder, "work/report/report.json"), "utf8"))).toHaveProperty("status");
    expect(await readFile(join(folder, "work/serve.log"), "utf8")).toContain('"msg":"stopped"');
  });
});

test("every block of commands in README.md is run, or listed with the reason why not", () => {
  const known = [...toRun.map(({ text }) => text), ...Object.keys(NOT_RUN_HERE)];
  expect(blocks.length).toBeGreaterThan(8);
  expect(new Set(blocks.map(({ text }) => text))).toEqual(new Set(known));
  expect(toRun.filter(runsSomethingElse).map(({ line }) => `README.md:${line}`)).toEqual([]);
});

/** Blocks of commands that are not ours and not everyday tools would be run here unseen. */
function runsSomethingElse({ text }: FencedBlock): boolean {
  return !/\b(holdfast|psql|pg_ctl)\b/.test(text);
}

async function runInShell(text: string, { cwd, path }: { cwd: string; path: string }): Promise<{ exitCode: number | null; output: string }> {
  // A group of its own, so that nothing it started outlives a failure.
  const child = spawn("/bin/bash", ["-c", text], { cwd, env: { PATH: path, HOME: cwd, LC_ALL: "C.UTF-8", NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const killGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      return; // all of it has ended
    }
  };
  const timer = setTimeout(killGroup, RUN_TIMEOUT_MS);
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", resolve);
    });
    return { exitCode, output };
  } finally {
    clearTimeout(timer);
    killGroup();
  }
}

/** At once: nothing in it is needed any more. */
async function stopServer(dataDirectory: string): Promise<void> {
  const pid = Number((await readFile(join(dataDirectory, "postmaster.pid"), "utf8").catch(() => "")).split("\n")[0]);
  if (pid > 0) process.kill(pid, "SIGQUIT");
}
