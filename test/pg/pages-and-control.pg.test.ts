import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatLsn } from "../../src/domain/lsn.ts";
import { classify } from "../../src/postgres/cluster-files.ts";
import { parseControlFile } from "../../src/postgres/control-file.ts";
import { judgePage } from "../../src/domain/page.ts";
import { startCluster } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { buildWorkload, mutate } from "../support/workload.ts";

const SEGMENT_BLOCKS = 131_072;
const PAGE = 8192;

describeEachPostgres("a stopped cluster with data checksums", { clientTools: ["pg_checksums", "pg_controldata"] }, (binaries) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({
      binaries,
      checksums: true,
      tablespaces: 1,
      settings: { max_connections: "57", max_locks_per_transaction: "77", track_commit_timestamp: "on", wal_log_hints: "on" },
    });
    await buildWorkload(cluster);
    await mutate(cluster, 3, 1);
    await cluster.stop();
  });
  afterAll(async () => cluster[Symbol.asyncDispose]());

  async function relationFiles(): Promise<string[]> {
    const paths = await readdir(cluster.dataDirectory, { recursive: true });
    const inside = paths.filter((path) => classify(path).kind === "relation");
    const spaces = await readdir(join(cluster.dataDirectory, "pg_tblspc"));
    const outside = await Promise.all(
      spaces.map(async (oid) => (await readdir(join(cluster.dataDirectory, "pg_tblspc", oid), { recursive: true })).map((path) => `pg_tblspc/${oid}/${path}`)),
    );
    return [...new Set([...inside, ...outside.flat().filter((path) => classify(path).kind === "relation")])];
  }

  test("has the pages that pg_checksums counts, and all of them are good", async () => {
    let [good, empty] = [0, 0];
    for (const path of await relationFiles()) {
      const file = classify(path);
      const bytes = await readFile(join(cluster.dataDirectory, path));
      if (file.kind !== "relation") continue;
      for (let at = 0; at < bytes.length; at += PAGE) {
        const verdict = judgePage(bytes, at, PAGE, file.segment * SEGMENT_BLOCKS + at / PAGE);
        if (verdict === "bad") throw new Error(`${path} block ${at / PAGE}`);
        if (verdict === "good") good++;
        else empty++;
      }
    }
    const { stdout } = await promisify(execFile)(join(binaries.directory, "pg_checksums"), ["--check", "-D", cluster.dataDirectory]);
    expect(good + empty).toBe(Number(/Blocks scanned:\s+(\d+)/.exec(stdout)?.[1]));
    expect(good).toBeGreaterThan(1000);
  });

  test("has no page that is good with a bit flipped, or as another block", async () => {
    const [path = ""] = (await relationFiles()).filter((name) => /^base\/\d+\/\d+$/.test(name)).toSorted();
    const page = (await readFile(join(cluster.dataDirectory, path))).subarray(0, PAGE);
    expect(judgePage(page, 0, PAGE, 0)).toBe("good");
    expect(judgePage(page, 0, PAGE, 1)).toBe("bad");
    for (let bit = 0; bit < PAGE * 8; bit += 61) {
      const damaged = Buffer.from(page);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(judgePage(damaged, 0, PAGE, 0), `bit ${bit}`).toBe("bad");
    }
  });

  test("has a control file that says what pg_controldata says", async () => {
    const bytes = await readFile(join(cluster.dataDirectory, "global/pg_control"));
    const control = parseControlFile(bytes);
    const { stdout } = await promisify(execFile)(join(binaries.directory, "pg_controldata"), ["-D", cluster.dataDirectory], { env: { ...process.env, LC_ALL: "C", TZ: "UTC" } });
    const said = new Map(stdout.split("\n").map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
    const expected = {
      systemIdentifier: said.get("Database system identifier"),
      controlVersion: Number(said.get("pg_control version number")),
      catalogVersion: Number(said.get("Catalog version number")),
      state: said.get("Database cluster state"),
      timeline: Number(said.get("Latest checkpoint's TimeLineID")),
      minRecoveryTimeline: Number(said.get("Min recovery ending loc's timeline")),
      walLevel: said.get("wal_level setting"),
      walLogHints: said.get("wal_log_hints setting") === "on",
      maxConnections: Number(said.get("max_connections setting")),
      maxWorkerProcesses: Number(said.get("max_worker_processes setting")),
      maxWalSenders: Number(said.get("max_wal_senders setting")),
      maxPreparedTransactions: Number(said.get("max_prepared_xacts setting")),
      maxLocksPerTransaction: Number(said.get("max_locks_per_xact setting")),
      trackCommitTimestamp: said.get("track_commit_timestamp setting") === "on",
      blockSize: Number(said.get("Database block size")),
      segmentBlocks: Number(said.get("Blocks per segment of large relation")),
      walSegmentBytes: Number(said.get("Bytes per WAL segment")),
      dataChecksums: said.get("Data page checksum version") !== "0",
    };
    expect(control).toMatchObject(expected);
    expect(control === null ? null : formatLsn(control.checkpoint)).toBe(said.get("Latest checkpoint location"));
    expect(control === null ? null : formatLsn(control.redo)).toBe(said.get("Latest checkpoint's REDO location"));
    expect(expected).toMatchObject({ maxConnections: 57, maxLocksPerTransaction: 77, walLogHints: true, trackCommitTimestamp: true, dataChecksums: true });
  });

  test("has a control file that is refused with any bit of it flipped, or cut off", async () => {
    const bytes = await readFile(join(cluster.dataDirectory, "global/pg_control"));
    expect(parseControlFile(bytes)).not.toBeNull();
    for (let bit = 0; bit < 280 * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(parseControlFile(damaged), `bit ${bit}`).toBeNull();
    }
    expect(parseControlFile(bytes.subarray(0, 200))).toBeNull();
    expect(parseControlFile(Buffer.alloc(PAGE))).toBeNull();
  });
});
