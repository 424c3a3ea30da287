import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CRASH_POINTS } from "../../src/crash-points.ts";
import type { BackupView } from "../../src/domain/source-info.ts";
import type { CopyResult } from "../../src/operations/copy/copy-source.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";

/** From one repository to another, which has keys of its own: the database is not asked, and is not even there. */
describePostgres("a source copied from one repository to another", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  const ids: string[] = [];

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, repositories: ["onsite", "offsite", "third"], policy: POLICY }));
    await source.sql("create table t as select g as id, repeat(md5(g::text), 20) as filler from generate_series(1, 5000) g");
    for (const type of ["full", "incr"]) {
      const outcome = await site.run("backup", "--type", type, "--json");
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      ids.push(outcome.json<BackupView>().id);
      await source.sql("insert into t select g, 'later' from generate_series(5001, 6000) g");
    }
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  const packs = async (repository: string): Promise<string[]> => (await readdir(join(site.folder, repository, "sources/db/backups"), { recursive: true })).toSorted();
  const copy = (...more: string[]): Promise<Outcome> => site.run("copy", "--from", "onsite", "--to", "offsite", "--json", ...more);
  const offsiteIds = async (): Promise<string[]> =>
    (await infoOf(site)).backups.filter(({ copies }) => copies.some(({ repository }) => repository === "offsite")).map(({ id }) => id);

  test.each(KILLED_AT)("and killed at %s shows nothing half, and is gone on with", async (point) => {
    const killed = await site.runWith({ HOLDFAST_CRASH_AT: point }, "copy", "--from", "onsite", "--to", "offsite");
    expect(killed.signal, killed.stdout + killed.stderr).toBe("SIGKILL");
    expect(await readdir(join(site.folder, "offsite/sources/db/manifests")).catch(() => [])).toEqual([]);
  });

  test("does not do again what was copied before, and holds the same backups under keys of its own", async () => {
    const before = await packs("offsite");
    await source.stop("fast");
    try {
      const outcome = await copy();
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      const result = outcome.json<CopyResult>();
      expect(result.backups.map(({ id }) => id)).toEqual(ids);
      expect(result.backups[0]?.presentContainers).toBe(before.filter((name) => /\/(?:data|map)\/\d/.test(name)).length);
      expect(await packs("offsite")).toEqual(await packs("onsite"));
      expect(await offsiteIds()).toEqual(ids);
      expect((await copy()).json<CopyResult>()).toMatchObject({ backups: [], present: ids, refused: [], walSegments: 0, bytes: 0 });
      expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    } finally {
      await source.start();
    }
  });

  test("and killed when a backup has just come to be there does not copy it again", async () => {
    const killed = await site.runWith({ HOLDFAST_CRASH_AT: "copy.after-manifest" }, "copy", "--from", "offsite", "--to", "third", "--backup", ids[0] ?? "");
    expect(killed.signal, killed.stdout + killed.stderr).toBe("SIGKILL");
    const again = await site.run("copy", "--from", "offsite", "--to", "third", "--backup", ids[0] ?? "", "--json");
    expect(again.json<CopyResult>()).toMatchObject({ backups: [], present: [ids[0]] });
    expect(await site.run("restore", "--repository", site.repository("third"), "--to", "immediate", "--target", join(site.folder, "third-restored"))).toMatchObject({
      exitCode: 0,
    });
  });

  test("stands for itself: it restores where the first is gone", async () => {
    await rename(join(site.folder, "onsite"), join(site.folder, "aside"));
    try {
      await using restored = await restoreAndStart(site, source, "--to", "latest");
      expect(await restored.sql("select count(*) as n from t")).toEqual([{ n: "6000" }]);
    } finally {
      await rename(join(site.folder, "aside"), join(site.folder, "onsite"));
    }
  });

  test("was killed at every point that copying has", () => {
    expect([...KILLED_AT, "copy.after-manifest"].map((point) => point.split(":")[0])).toEqual(CRASH_POINTS.filter((point) => point.startsWith("copy.")));
  });

  test("gives what is damaged in the nearest copy, and that is said; a drill passes with a warning", async () => {
    const [full = ""] = ids;
    const pack = join(site.folder, "onsite/sources/db/backups", full, "data/00000000");
    const bytes = await readFile(pack);
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
    await writeFile(pack, bytes);
    const target = join(site.folder, "mended");
    const outcome = await site.run("restore", "--backup", ids[1] ?? "", "--to", "latest", "--target", target, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    const fallback = { repository: "onsite", object: `sources/db/backups/${full}/data/00000000`, servedBy: "offsite" };
    expect(outcome.json()).toMatchObject({ repository: "onsite", fallbacks: [expect.objectContaining(fallback)] });
    const drill = await site.run("drill", "--json");
    expect(drill.exitCode, drill.stdout + drill.stderr).toBe(0);
    expect(drill.json()).toMatchObject({ verdict: "pass_with_warnings", repository: "onsite", fallbacks: [expect.objectContaining(fallback)] });
    expect((await site.run("restore", "--from", "onsite", "--backup", ids[1] ?? "", "--to", "latest", "--target", join(site.folder, "alone"))).exitCode).toBe(1);
  });
});

const KILLED_AT = ["copy.begun", "copy.packing:2", "copy.wal", "copy.before-manifest"];
const RULE = "{ schedule: { every: 7d }, retention: { keepLast: 9 }, repositories: [onsite] }";
const POLICY = `backups:
  full: ${RULE}
  incremental: ${RULE}
  differential: { schedule: { every: 7d }, retention: { keepLast: 9 }, repositories: [offsite] }
  log: { schedule: stream, retention: 24h, repositories: [onsite] }
`;
