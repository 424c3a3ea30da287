import { link, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { chownSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/clock.ts";
import { lsn } from "../../src/domain/lsn.ts";
import type { BlockRun, FileEntry } from "../../src/domain/file-map.ts";
import { BackupCopy, CopiesTogether, fanOut } from "../../src/repository/backup-copies.ts";
import { FrameLane } from "../../src/repository/frame-lane.ts";
import { ChainReader } from "../../src/repository/map-reader.ts";
import { MapWriter } from "../../src/repository/map-writer.ts";
import { startCluster } from "../../test/support/cluster.ts";
import { requirePostgres } from "../../test/support/postgres-binaries.ts";
import { openRepositoryFixture } from "../../test/support/repository-fixture.ts";
import type { Cluster } from "../../test/support/running-cluster.ts";
import { openSite } from "../../test/support/site.ts";
import { manifestOf } from "../../test/support/wal-fixture.ts";
import { bytesBelow, measure } from "./measure.ts";
import type { Cost } from "./measure.ts";

/**
 * `npm run bench:scale`: a cluster of a million small files through the real commands, and a map of twenty million extents through the code that every command writes and reads maps with; what counts is
 * the memory. PostgreSQL itself would take an hour to make a million relations, so the files are put into the folder of a database under names of relations: three of four empty, as tables are at
 * first, and one with a page. They are hard links to few files, which a reader cannot tell from as many files.
 */
const { values } = parseArgs({
  options: {
    files: { type: "string", default: "1000000" },
    extents: { type: "string", default: "20000000" },
    major: { type: "string", default: "15" },
    out: { type: "string", default: "scale.json" },
  },
});

interface Figure {
  readonly what: string;
  readonly seconds: number;
  readonly peakMiB: number;
  readonly notes?: Readonly<Record<string, number>>;
}

/** A file system allows some 65,000 names for one file. */
const NAMES_PER_FILE = 60_000;
const FIRST_RELFILENODE = 10_000_000;
const RUNS_PER_FILE = 1000;
const FRAMES_PER_PACK = 128;
const MIB = 1 << 20;
const figures: Figure[] = [];
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

function keep(what: string, { seconds, peakBytes }: Cost, notes?: Readonly<Record<string, number>>): void {
  figures.push({ what, seconds: Math.round(seconds * 10) / 10, peakMiB: Math.round(peakBytes / MIB), ...(notes === undefined ? {} : { notes }) });
  say(`${what}: ${seconds.toFixed(1)} s, ${Math.round(peakBytes / MIB)} MiB`);
}

// The map first, for it is measured in this process: making a million files leaves gigabytes behind.
if (Number(values.extents) > 0) await manyExtents(Number(values.extents));
if (Number(values.files) > 0) await manyFiles(Number(values.files));
await writeFile(values.out, `${JSON.stringify(figures, null, 2)}\n`);
console.table(figures.map(({ what, seconds, peakMiB, notes }) => ({ what, seconds, peakMiB, ...notes })));

async function manyFiles(count: number): Promise<void> {
  const binaries = await requirePostgres(Number(values.major));
  await using cluster = await startCluster({ binaries });
  await putFiles(cluster, count);
  await using site = await openSite({ cluster, local: true });
  const env = { SITE_KEY: site.key, SITE_URL: cluster.url(), HOLDFAST_CONFIG: site.inventory, HOLDFAST_KEY: site.key };
  const main = join(import.meta.dirname, "../../src/main.ts");
  const run = async (...args: string[]): Promise<Cost> => measure({ file: process.execPath, args: [main, ...args], env });
  const stored = async (): Promise<number> => Math.round((await bytesBelow(join(site.folder, "onsite"))) / MIB);
  keep(`full backup of ${count} files`, await run("backup", "--type", "full"), { storedMiB: await stored() });
  const before = await stored();
  keep("incremental, nothing changed", await run("backup", "--type", "incr"), { storedMiB: (await stored()) - before });
  keep("info", await run("info"));
  keep("expire --dry-run", await run("expire", "--dry-run"));
  keep("restore --plan", await run("restore", "--plan", "--to", "latest", "--target", join(site.folder, "target")));
  keep("verify", await run("verify"));
  keep("restore", await run("restore", "--to", "latest", "--target", join(site.folder, "target")));
}

async function putFiles(cluster: Cluster, count: number): Promise<void> {
  say(`making ${count} files`);
  await cluster.sql("create table page as select 1 as id");
  await cluster.sql("checkpoint");
  const [row] = await cluster.sql("select pg_relation_filepath('page') as path, pg_relation_filepath('pg_class') as of_database");
  const folder = join(cluster.dataDirectory, (row?.["path"] ?? "").split("/").slice(0, -1).join("/"));
  const page = await readFile(join(cluster.dataDirectory, row?.["path"] ?? ""));
  for (let made = 0; made < count;) {
    const first = join(folder, String(FIRST_RELFILENODE + made));
    const isPage = Math.floor(made / NAMES_PER_FILE) % 4 === 3;
    await writeFile(first, isPage ? page : "");
    if (process.getuid?.() === 0) chownSync(first, cluster.place.owner.uid, cluster.place.owner.gid);
    const names = Math.min(NAMES_PER_FILE, count - made);
    for (let at = 1; at < names; at += 500)
      await Promise.all(Array.from({ length: Math.min(500, names - at) }, (_, i) => link(first, join(folder, String(FIRST_RELFILENODE + made + at + i)))));
    made += names;
  }
  say(`${(await readdir(folder)).length} files in ${folder}, ${(await stat(folder)).size} bytes of folder`);
}

/** A map in which every run of one block leads to an extent of its own: what the worst incremental chain of years would be. */
async function manyExtents(count: number): Promise<void> {
  await using fixture = await openRepositoryFixture();
  const repository = await fixture.open();
  const id = "20260101T000000Z-full";
  const copy = new BackupCopy(repository, { source: "db", backup: id, dataKey: await repository.keyRing.sealNew(), clock: systemClock });
  const lane = new FrameLane(fanOut(new CopiesTogether([copy], systemClock), "map"), { level: 1, packPlainBytes: 64 * MIB });
  const map = new MapWriter(lane, { backup: id, parentChunks: [] });
  const write = async (): Promise<{ pack: number; frame: number; frames: number }> => {
    for (let file = 0; file * RUNS_PER_FILE < count; file++) {
      await map.add(fileOf(file, id), false);
      await lane.ready();
    }
    await map.addLate([]);
    const root = await map.finish(1n, []);
    await lane.finish();
    await copy.drained();
    return root;
  };
  const [written, root] = await here(write);
  const bytes = await bytesBelow(fixture.folder);
  keep(`map of ${count} extents written`, written, { storedMiB: Math.round(bytes / MIB) });
  const manifest = { ...manifestOf(id, { timeline: 1, start: lsn(1n), stop: lsn(2n), stopAt: "2026-01-01T00:00:00Z", writer: "" }), root };
  const [read, runs] = await here(async () => {
    let found = 0;
    for await (const entry of new ChainReader(repository, new Map([[id, { sha256: "", manifest }]])).entries(id)) if (entry.type === "file") found += entry.runs.length;
    return found;
  });
  if (runs !== Math.ceil(count / RUNS_PER_FILE) * RUNS_PER_FILE) throw new Error(`the map has ${runs} extents`);
  keep("map read", read);
}

function fileOf(file: number, backup: string): FileEntry {
  const runs = Array.from({ length: RUNS_PER_FILE }, (_, i): BlockRun => {
    const extent = file * RUNS_PER_FILE + i;
    return { blocks: 1, at: { backup, pack: Math.floor(extent / FRAMES_PER_PACK), frame: extent % FRAMES_PER_PACK, block: (extent * 7) % FRAMES_PER_PACK } };
  });
  return { type: "file", path: `base/5/${(FIRST_RELFILENODE + file).toString()}`, length: RUNS_PER_FILE * 8192, runs };
}

/** What it costs in this process. */
async function here<T>(act: () => Promise<T>): Promise<[Cost, T]> {
  const started = performance.now();
  let peakBytes = 0;
  const timer = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), 100);
  const result = await act();
  clearInterval(timer);
  return [{ seconds: (performance.now() - started) / 1000, peakBytes, readBytes: 0 }, result];
}
