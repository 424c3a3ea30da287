import { cp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/errors.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { startCluster } from "../support/cluster.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";
import { digestTree } from "../support/tree.ts";

const SECRET = "v3rys3cretw0rd";
const UNKNOWN = "20010101T000000Z-full";

/** What goes wrong for people every day: the right exit code, one clear error with a hint, no secret in it, and nothing changed. */
describePostgres("wrong use and a broken world", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let other: Cluster;
  let site: Site;
  /** A place in the middle of the WAL, and the segment that holds it. */
  let gap: { readonly lsn: string; readonly segment: string };
  let closedPort: number;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    other = stack.use(await startCluster({ binaries }));
    site = stack.use(await openSite({ cluster: source }));
    await source.sql("create table t as select g from generate_series(1, 1000) g");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    const stream = site.start({}, "wal", "stream");
    for (let i = 0; i < 3; i++) {
      await source.sql("insert into t select g from generate_series(1, 1000) g");
      const [row] = await source.sql("select pg_current_wal_insert_lsn() as lsn, pg_walfile_name(pg_current_wal_insert_lsn()) as segment");
      if (i === 1) gap = { lsn: row?.["lsn"] ?? "", segment: row?.["segment"] ?? "" };
      await source.sql("select pg_switch_wal()");
    }
    await source.sql("insert into t values (1)");
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    // A policy with a slip of the pen, beside an inventory that is right.
    await cp(join(site.folder, "policies"), join(site.folder, "slip/policies"), { recursive: true });
    await writeFile(join(site.folder, "slip/holdfast.yaml"), await readFile(site.inventory));
    const policy = join(site.folder, "slip/policies/plain.yaml");
    await writeFile(policy, (await readFile(policy, "utf8")).replace("  differential: { schedule", "  differential: { shedule"));
    closedPort = await freePort();
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  interface Case {
    readonly args: readonly string[];
    readonly exitCode: number;
    readonly code: ErrorCode;
    readonly says: RegExp;
    readonly hint: RegExp;
    readonly env?: Readonly<Record<string, string>>;
    /** An attempt on the source is on record, as it must be: the evidence grows, and nothing else. */
    readonly isOnRecord?: true;
  }

  const restore = (to: string, ...more: readonly string[]): string[] => ["restore", "--to", to, "--target", join(site.folder, "refused"), ...more];
  const keyError = { exitCode: 2, code: "HF-KEY" } as const;
  const usageError = { exitCode: 2, code: "HF-USAGE" } as const;
  const unreachable = { exitCode: 1, code: "HF-TARGET-UNREACHABLE" } as const;
  const noStorage = { exitCode: 3, code: "HF-STORAGE", says: /onsite/, hint: /./ } as const;

  const cases: Readonly<Record<string, () => Case>> = {
    "a wrong passphrase": () => ({ ...keyError, args: ["info"], env: { SITE_KEY: SECRET }, says: /passphrase/, hint: /./ }),
    "a wrong passphrase for a backup": () => ({ ...keyError, args: ["backup"], env: { SITE_KEY: SECRET }, says: /passphrase/, hint: /./, isOnRecord: true }),
    "a wrong passphrase by address": () => ({
      ...keyError,
      args: restore("latest", "--repository", site.repository()),
      env: { HOLDFAST_KEY: SECRET },
      says: /passphrase/,
      hint: /./,
    }),
    "no key, and no terminal to ask at": () => ({
      ...keyError,
      args: ["info", "--repository", site.repository()],
      env: { HOLDFAST_KEY: "" },
      says: /none was given/,
      hint: /HOLDFAST_KEY/,
    }),
    "no passphrase for a restore": () => ({ ...keyError, args: restore("latest"), env: { SITE_KEY: "" }, says: /only writes in onsite/, hint: /--key/ }),
    "another cluster behind the name": () => ({
      args: ["backup"],
      env: { SITE_URL: other.url() },
      exitCode: 4,
      code: "HF-OTHER-CLUSTER",
      says: /cluster/,
      hint: /./,
      isOnRecord: true,
    }),
    "an unknown key in a policy": () => ({
      args: ["info"],
      env: { HOLDFAST_CONFIG: join(site.folder, "slip/holdfast.yaml") },
      exitCode: 2,
      code: "HF-CONFIG",
      says: /slip\/policies\/plain\.yaml:6:19: .*shedule[^]*schedule/,
      hint: /nothing was touched/,
    }),
    "a server that does not answer": () => ({
      args: ["backup"],
      env: { SITE_URL: `postgres://postgres:${SECRET}@127.0.0.1:${closedPort}/postgres` },
      exitCode: 3,
      code: "HF-CONNECT",
      says: /127\.0\.0\.1/,
      hint: /./,
      isOnRecord: true,
    }),
    "a target that is not empty": () => ({
      args: ["restore", "--to", "latest", "--target", join(site.folder, "slip")],
      exitCode: 4,
      code: "HF-TARGET-NOT-EMPTY",
      says: /slip is not empty/,
      hint: /nothing was touched/,
    }),
    "a time without a zone": () => ({ args: restore("2026-11-21T16:44:54"), exitCode: 2, code: "HF-TARGET", says: /no time zone/, hint: /Z/ }),
    "a time before the first backup": () => ({ ...unreachable, args: restore("2001-01-01T00:00:00Z"), says: /before/, hint: /info/ }),
    "a time that has not come": () => ({ ...unreachable, args: restore("2101-01-01T00:00:00Z"), says: /after what this copy covers/, hint: /latest/ }),
    "an LSN behind the end of WAL": () => ({ ...unreachable, args: restore("lsn:FF/0"), says: /beyond the WAL/, hint: /info/ }),
    "a restore point that nobody made": () => ({ ...unreachable, args: restore("name:nobody-made-it"), says: /nobody-made-it/, hint: /./ }),
    "an unknown source": () => ({ ...usageError, args: ["backup", "orders"], says: /no source "orders"/, hint: /choose one of: db/ }),
    "an unknown source by address": () => ({ ...usageError, args: ["info", "orders", "--repository", site.repository()], says: /no source "orders"/, hint: /it holds: db/ }),
    "an unknown option": () => ({ ...usageError, args: ["info", "--reposiory", "x"], says: /--reposiory/, hint: /--help/ }),
    "a missing option": () => ({ ...usageError, args: ["restore", "--to", "latest"], says: /where should it be restored/, hint: /--target \/srv\/restored/ }),
    "an unknown command": () => ({ ...usageError, args: ["restor"], says: /restor/, hint: /--help/ }),
    "an unknown backup": () => ({ args: restore("latest", "--backup", UNKNOWN), exitCode: 1, code: "HF-NO-BACKUP", says: new RegExp(UNKNOWN), hint: /info/ }),
  };

  test.each(Object.keys(cases))("%s", async (what) => expectRefusal(cases[what]?.()));

  test.each(["is gone", "is no folder"])("a repository that %s", async (how) => {
    const [repository, aside] = [join(site.folder, "onsite"), join(site.folder, "aside")];
    await rename(repository, aside);
    if (how !== "is gone") await writeFile(repository, "");
    try {
      await expectRefusal({ ...noStorage, args: ["backup"], isOnRecord: true });
      await expectRefusal({ ...noStorage, args: ["info"] });
      await expectRefusal({ ...noStorage, args: restore("latest", "--repository", site.repository()) });
    } finally {
      await rm(repository, { force: true });
      await rename(aside, repository);
    }
  });

  test("an LSN in a gap", async () => {
    const stored = [...(await digestTree(join(site.folder, "onsite/sources"))).keys()]
      .filter((path) => path.includes(gap.segment))
      .map((path) => join(site.folder, "onsite/sources", path));
    for (const [i, path] of stored.entries()) await rename(path, join(site.folder, `aside-${i}`));
    try {
      await expectRefusal({ ...unreachable, args: restore(`lsn:${gap.lsn}`), says: /beyond the WAL|gap/, hint: /info/ });
    } finally {
      for (const [i, path] of stored.entries()) await rename(join(site.folder, `aside-${i}`), path);
    }
  });

  test("a backup while one is going on, which is not disturbed", async () => {
    // Finished ones only: a lease that is still being written is nobody's.
    const leases = async (): Promise<string> => (await readdir(join(site.folder, "onsite/leases/db.backup"))).filter((name) => name.endsWith(".json")).join(" ");
    const before = await leases();
    const first = site.start({}, "backup");
    while ((await leases()) === before) await delay(5);
    first.process.kill("SIGSTOP");
    try {
      await expectRefusal({ args: ["backup"], exitCode: 4, code: "HF-BUSY", says: /held by run/, hint: /--wait/, isOnRecord: true });
    } finally {
      first.process.kill("SIGCONT");
    }
    expect((await first.ended()).exitCode).toBe(0);
  });

  /** As a person meets it and as a script does: and both leave everything as it was. */
  async function expectRefusal(refusal: Case | undefined): Promise<void> {
    const { args, exitCode, code, says, hint, env = {}, isOnRecord = false } = must(refusal, "a case");
    const before = await everything();
    const asPerson = async (): Promise<Outcome> => site.runWith(env, ...args);
    const asScript = async (): Promise<Outcome> => site.runWith(env, ...args, "--json");
    // Attempts on the source exclude each other; anything else may run side by side.
    const [person, script] = isOnRecord ? [await asPerson(), await asScript()] : await Promise.all([asPerson(), asScript()]);
    const after = await everything();
    expect(person).toMatchObject({ exitCode, stdout: "" });
    const [first = "", ...rest] = linesOf(person.stderr).filter((line) => !line.startsWith("note: "));
    expect(first).toMatch(new RegExp(`^error\\[${code}\\]: (?![A-Z][a-z])`));
    expect(person.stderr).toMatch(says);
    expect(rest.at(-1)).toMatch(/^hint: ./);
    expect(rest.at(-1)).toMatch(hint);
    expect(rest.filter((line) => /^(error\[|hint: )/.test(line))).toHaveLength(1);
    expect(script.exitCode).toBe(exitCode);
    const { error } = script.json<{ error: { code: string; message: string; hint: string; facts: object } }>();
    expect(Object.keys(error)).toEqual(["code", "message", "hint", "facts"]);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(says);
    expect(error.hint).toMatch(hint);
    for (const outcome of [person, script]) expectDiscreet(outcome);
    for (const path of after.keys()) if (isOnRecord && !before.has(path) && /^(state|onsite|aside)\/(evidence|leases)\//.test(path)) before.set(path, after.get(path) ?? "");
    for (const path of before.keys()) if (isOnRecord && path.includes("/leases/") && !after.has(path)) before.delete(path);
    expect(after).toEqual(before);
    await expect(stat(join(site.folder, "refused"))).rejects.toThrow(/ENOENT/);
  }

  function expectDiscreet({ stdout, stderr }: Outcome): void {
    for (const text of [stdout, stderr]) {
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain(site.key);
      expect(text).not.toMatch(/^\s+at .+:\d+/m);
    }
  }

  /** Every file of the site; of the catalog, which is a cache that each command opens, not the bytes. */
  async function everything(): Promise<Map<string, string>> {
    return digestTree(site.folder, (path) => path.startsWith("state/catalog.sqlite"));
  }
});

function linesOf(text: string): string[] {
  return text.trimEnd().split("\n");
}
