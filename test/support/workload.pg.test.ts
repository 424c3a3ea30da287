import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { expect, test } from "vitest";
import { startCluster } from "./cluster.ts";
import { describeEachPostgres, describePostgres } from "./postgres-suite.ts";
import { LEDGER, SHOP } from "./workload-schema.ts";
import { actionNames, buildWorkload, mutate } from "./workload.ts";
import { brokenPromises, startWriter, tornWrites, writtenIn } from "./writer.ts";

describeEachPostgres("the test workload", {}, (binaries) => {
  test("every action runs, twice and in any order", async () => {
    await using cluster = await startCluster({ binaries, tablespaces: 2 });
    await buildWorkload(cluster);
    const once = await mutate(cluster, 1, 1, { only: actionNames() });
    const again = await mutate(cluster, 1, 2, { only: actionNames().toReversed() });
    expect(once.length).toBe(again.length);
    for (let step = 3; step < 8; step++) expect((await mutate(cluster, 1, step)).length).toBeGreaterThanOrEqual(4);
  });

  test("the same seed makes the same content", async () => {
    const content = async (): Promise<unknown> => {
      await using cluster = await startCluster({ binaries, settings: { autovacuum: "off" } });
      await buildWorkload(cluster, { seed: 7 });
      for (let step = 1; step <= 4; step++) await mutate(cluster, 7, step);
      return [
        await cluster.sql("select md5(string_agg(o::text, ',' order by id)) from orders as o", SHOP),
        await cluster.sql("select md5(string_agg(e::text, ',' order by id, day)) from entries as e", LEDGER),
      ];
    };
    expect(await content()).toEqual(await content());
  });
});

describePostgres("the content of the test workload", {}, (binaries) => {
  test("compresses as real data does", async () => {
    await using cluster = await startCluster({ binaries });
    await buildWorkload(cluster);
    await cluster.sql("checkpoint");
    const oid = (await cluster.sql(`select oid from pg_database where datname = '${SHOP}'`))[0]?.["oid"] ?? "";
    const folder = join(cluster.dataDirectory, "base", oid);
    const files = (await readdir(folder)).filter((name) => /^\d+$/.test(name) && Number(name) >= 16384);
    const bytes = Buffer.concat(await Promise.all(files.map(async (name) => readFile(join(folder, name)))));
    const ratio = bytes.length / (await promisify(zstdCompress)(bytes)).length;
    expect(ratio).toBeGreaterThan(2.5);
    expect(ratio).toBeLessThan(5);
  });
});

describePostgres("the writer", {}, (binaries) => {
  test("knows each commit that was acknowledged, also when the server dies under it", async () => {
    await using cluster = await startCluster({ binaries });
    await using writer = await startWriter(cluster, { connections: 3 });
    await writer.more(200);
    await cluster.kill9();
    await cluster.start();
    await writer.more(200);
    const report = await writer.stop();
    await using session = await cluster.connect();
    const present = await writtenIn(session);
    expect(report.lost).toBeGreaterThan(0);
    expect(report.acknowledged.length).toBeGreaterThanOrEqual(400);
    expect(brokenPromises(report, present, null)).toEqual({ missing: [], unexpected: [] });
    const known = new Set([...report.acknowledged.map((write) => write.sequence), ...report.unanswered]);
    expect(present.filter((sequence) => !known.has(sequence))).toEqual([]);
    expect(await tornWrites(session)).toBe(0);
  });

  test("sees a promise that is broken, on either side of the target", async () => {
    await using cluster = await startCluster({ binaries });
    await using writer = await startWriter(cluster, { connections: 1, ratePerSecond: 200 });
    await writer.more(30);
    const report = await writer.stop();
    await using session = await cluster.connect();
    const present = await writtenIn(session);
    const target = report.acknowledged[19]?.to ?? null;
    const upToTarget = present.filter((sequence) => sequence <= 20);
    expect(brokenPromises(report, upToTarget, target)).toEqual({ missing: [], unexpected: [] });
    expect(brokenPromises(report, upToTarget.slice(0, -1), target).missing.map((write) => write.sequence)).toEqual([20]);
    expect(brokenPromises(report, [...upToTarget, 25], target).unexpected.map((write) => write.sequence)).toEqual([25]);
    expect(brokenPromises(report, upToTarget, null).missing[0]?.sequence).toBe(21);
    await session.rows("delete from written where sequence = 3");
    expect(await tornWrites(session)).toBe(1);
  });
});
