import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { BackupView } from "../../src/domain/source-info.ts";
import { findSuspectPages } from "../../src/operations/backup/page-check.ts";
import type { SuspectPage } from "../../src/operations/backup/page-check.ts";
import { openBackupSession } from "../../src/postgres/backup-session.ts";
import { openLocalReader } from "../../src/postgres/local-reader.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";

const PAGE = 8192;
const SHAPE = { blockSize: PAGE, segmentBlocks: 131_072, dataChecksums: true };

/** A page may be caught while the server writes it: that is no corruption. One that stays wrong is, and a backup that holds it must say so. */
describePostgres("a page with a wrong checksum", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let path: string;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries }));
    await source.sql("create table t as select g as id, repeat(md5(g::text), 20) as filler from generate_series(1, 1000) g");
    await source.sql("checkpoint");
    path = (await source.sql("select pg_relation_filepath('t') as path"))[0]?.["path"] ?? "";
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  /** What is found wrong in the first pages of the table, when they were read as `bytes`. */
  async function suspectsIn(bytes: Buffer): Promise<SuspectPage[]> {
    await using session = await openBackupSession({ url: source.url() }, systemClock);
    await using reader = await openLocalReader(source.dataDirectory, session.identity);
    return await findSuspectPages({ reader, clock: systemClock, signal: new AbortController().signal }, { path, from: 0, bytes }, SHAPE);
  }

  /** Inverts a byte of a page's rows. */
  function spoil(bytes: Buffer, block: number): void {
    const at = block * PAGE + 5000;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  }

  test("is read again: if it is right then, that is what is taken", async () => {
    const whole = await readFile(join(source.dataDirectory, path));
    const caught = Buffer.from(whole);
    for (const block of [0, 3]) spoil(caught, block);
    expect(await suspectsIn(caught)).toEqual([]);
    expect(caught.equals(whole)).toBe(true);
  });

  test("that stays wrong is in the backup, which says so and is nobody's parent", async () => {
    const bytes = await readFile(join(source.dataDirectory, path));
    spoil(bytes, 2);
    await using file = await open(join(source.dataDirectory, path), "r+");
    await file.write(bytes, 2 * PAGE, PAGE, 2 * PAGE);
    expect(await suspectsIn(Buffer.from(bytes))).toMatchObject([{ path, block: 2 }]);

    await using site = await openSite({ cluster: source });
    const full = await site.run("backup", "--json");
    expect(full.exitCode, full.stderr).toBe(1);
    expect(full.json<BackupView>()).toMatchObject({ state: "complete_with_corruption", corruptPages: 1 });
    const next = await site.run("backup", "--type", "incr", "--json");
    expect(next.json<BackupView>(), next.stderr).toMatchObject({ type: "full", corruptPages: 1 });
    expect(next.stderr).toMatch(/holds corrupt pages/);
  });
});
