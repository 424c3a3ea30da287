import { expect, test } from "vitest";
import { parseLsn } from "../../src/domain/lsn.ts";
import { keepingAskedFor } from "../support/kept-copies.ts";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { assertSound } from "../support/oracle.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf, untilStreaming } from "../support/site-state.ts";
import { buildWorkload, mutate } from "../support/workload.ts";
import { brokenPromises, startWriter, tornWrites, writtenIn } from "../support/writer.ts";
import type { WriterReport } from "../support/writer.ts";

/** A moment at which nobody was writing: what was in the source then, and when that was by its own clock. */
interface Moment {
  readonly at: string;
  readonly digest: ClusterDigest;
  readonly writer: WriterReport;
}

interface Taken {
  readonly id: string;
  readonly stopLsn: string;
}

describeEachPostgres("the main job", {}, (binaries) => {
  const [remote, local] = [
    { reader: "remote", checksums: true },
    { reader: "local", checksums: false },
  ] as const;
  // Each takes a minute: by default the one on older versions, the other on newer ones; all of them where versions are asked for.
  const variants = process.env["HOLDFAST_TEST_MAJORS"] !== undefined ? [remote, local] : [binaries.major < 17 ? remote : local];

  test.each(variants)(
    "full, incremental, differential, incremental restore exactly, on their own and to a moment ($reader reader, checksums $checksums)",
    async ({ reader, checksums }) => {
      await using source = await startCluster({ binaries, checksums, tablespaces: 1, ...(binaries.major >= 17 ? { summarizeWal: true } : {}) });
      await buildWorkload(source);
      await using site = await openSite({ cluster: source, local: reader === "local", keeping: keepingAskedFor() });
      const stream = site.start({}, "wal", "stream");
      await untilStreaming(site);
      const backups: Taken[] = [];
      const moments: Moment[] = [];
      let sequence = 1;
      for (const [step, type] of (["full", "incr", "diff", "incr"] as const).entries()) {
        const writer = await startWriter(source, { connections: 2, ratePerSecond: 200, firstSequence: sequence });
        await writer.more(20);
        const outcome = await site.run("backup", "--type", type, "--json");
        expect(outcome.stderr).not.toMatch(/error/);
        backups.push(outcome.json<Taken>());
        await mutate(source, 11, step + 1);
        await writer.more(20);
        const report = await writer.stop();
        sequence += 100_000;
        const [row] = await source.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at");
        moments.push({ at: row?.["at"] ?? "", digest: await digestDatabases(source.url()), writer: report });
        // Something after the moment, so that stopping at it is not the same as reaching the end.
        await source.sql("create table if not exists afterwards (at timestamptz)");
        await source.sql("insert into afterwards values (clock_timestamp())");
      }
      await settle(site, source, stream);
      stream.process.kill("SIGTERM");
      expect((await stream.ended()).exitCode).toBe(0);
      const reports = moments.map(({ writer }) => writer);
      const everything: WriterReport = { acknowledged: reports.flatMap((one) => one.acknowledged), unanswered: reports.flatMap((one) => one.unanswered), lost: 0 };
      // Where there are two copies, each gives every second backup, and every second moment.
      const from = (i: number): string[] => ["--from", site.copies[i % site.copies.length]?.name ?? ""];
      for (const [i, { id, stopLsn }] of backups.entries())
        await restoreAndCheck(site, source, ["--backup", id, "--to", "immediate", ...from(i + 1)], async (restored) => {
          await using session = await restored.connect();
          expect(brokenPromises(everything, await writtenIn(session), parseLsn(stopLsn))).toEqual({ missing: [], unexpected: [] });
          expect(await tornWrites(session)).toBe(0);
        });
      for (const [i, { at, digest }] of moments.entries())
        await restoreAndCheck(site, source, ["--to", at, ...from(i)], async (restored) => {
          expect(await digestDatabases(restored.url())).toEqual(digest);
        });
      expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    },
  );
});

/** Waits until everything the source has written is in the repository. */
async function settle(site: Site, source: Cluster, stream: Running): Promise<void> {
  await source.sql("select pg_switch_wal()");
  const [row] = await source.sql("select pg_current_wal_flush_lsn() as lsn");
  const wanted = parseLsn(row?.["lsn"] ?? "");
  for (let attempt = 0; attempt < 100; attempt++) {
    const ends = site.copies.map(async ({ address }) => (await infoOf(site, {}, ...address)).windows.at(-1)?.endLsn);
    if ((await Promise.all(ends)).every((end) => end !== undefined && parseLsn(end) >= wanted)) return;
  }
  throw new Error(`WAL did not arrive up to ${row?.["lsn"]}: ${(await site.run("info")).stdout}${(await site.run("wal", "status")).stdout}${stream.output()}`);
}

/** Restores with the real command, starts the result as its owner would, and holds it against the oracle. */
async function restoreAndCheck(site: Site, source: Cluster, what: readonly string[], check: (restored: Cluster) => Promise<void>): Promise<void> {
  await using restored = await restoreAndStart(site, source, ...what);
  await check(restored);
  const report = await assertSound(restored.url(), { isRestored: true });
  expect(report.tables).toBeGreaterThan(10);
  expect(report.indexes).toBeGreaterThan(10);
}
