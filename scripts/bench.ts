import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { requireSpace } from "../src/operations/restore/restore-target-folder.ts";
import { requirePostgres } from "../test/support/postgres-binaries.ts";
import type { Cluster } from "../test/support/running-cluster.ts";
import { openScratchFolder } from "../test/support/scratch-folder.ts";
import { openBasebackup } from "./bench/basebackup.ts";
import { changePages, makeDataSet, spoilPages } from "./bench/data-set.ts";
import { openHoldfast } from "./bench/holdfast.ts";
import { bytesBelow, dropCaches } from "./bench/measure.ts";
import type { Cost } from "./bench/measure.ts";
import { findPgbackrest, openPgbackrest } from "./bench/pgbackrest.ts";
import { summarise, tableOf } from "./bench/results.ts";
import type { Sample } from "./bench/results.ts";
import type { Tool } from "./bench/tools.ts";
import { measureArchiving, measureStreamLag } from "./bench/wal-archiving.ts";

/**
 * `npm run bench`: Holdfast, pgBackRest (if it is on the PATH) and PostgreSQL's own tools on the same data in one run, one after the other in every round, the first one
 * another in each. What counts are ratios and medians: times of one run on one machine say nothing.
 */
const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "8" },
    runs: { type: "string", default: "3" },
    major: { type: "string", default: "15" },
    shares: { type: "string", default: "0.001,0.01,0.1" },
    segments: { type: "string", default: "64" },
    wal: { type: "string", default: "100" },
    out: { type: "string", default: "bench.json" },
  },
});
const LAG_SECONDS = 20;
/** Of the pages of large files, before a restore in place. */
const SPOILED_SHARE = 0.01;
/** The data, the repositories of one round of all tools (pgBackRest without blocks copies whole files for every incremental), and what is restored. */
const ROOM_FACTOR = 6;
const SHARES = values.shares.split(",").map(Number);

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const binaries = await requirePostgres(Number(values.major));
const gib = Number(values.gib);
// Now, and not in the middle of the last round.
await requireSpace(tmpdir(), gib * ROOM_FACTOR * 1024 ** 3);
say(`making ${gib} GiB of data on PostgreSQL ${binaries.version}`);
await using cluster = await makeDataSet(binaries, gib);
await using scratch = await openScratchFolder(cluster.place.owner);
const pgbackrest = await findPgbackrest();
const isCold = await dropCaches();
const samples: Sample[] = [];
const tools: Pick<Tool, "name" | "version">[] = [];
for (let round = 0; round < Number(values.runs); round++) await playRound(round);
const baseline = pgbackrest !== null ? "pgbackrest" : (tools.find(({ name }) => name !== "holdfast")?.name ?? "holdfast");
const summaries = summarise(samples, baseline);
const dataBytes = await bytesBelow(cluster.dataDirectory);
console.log(
  `${(dataBytes / 1024 ** 3).toFixed(1)} GiB, PostgreSQL ${binaries.version}, ${values.runs} runs, ${isCold ? "cold" : "warm"}, ${tools.map(({ name, version }) => `${name} ${version}`).join(", ")}`,
);
console.log(tableOf(summaries, baseline));
const archiving =
  values.segments === "0"
    ? []
    : await measureArchiving(binaries, { segments: Number(values.segments), pgbackrest: pgbackrest?.program ?? null, folder: join(scratch.path, "archiving") });
if (archiving.length > 0) console.table(archiving);
const lag = values.segments === "0" ? null : await measureStreamLag(binaries, { seconds: LAG_SECONDS, walMegabytesPerSecond: Number(values.wal) });
if (lag !== null) console.table([lag]);
await writeFile(
  values.out,
  `${JSON.stringify({ dataBytes, postgres: binaries.version, isCold, tools: tools.map(({ name, version }) => ({ name, version })), summaries, samples, archiving, lag }, null, 2)}\n`,
);

async function openTools(source: Cluster, folder: string, resources: AsyncDisposableStack): Promise<Tool[]> {
  const found = [resources.use(await openHoldfast({ cluster: source }))];
  if (pgbackrest === null) say("pgbackrest is not on the PATH: compared with PostgreSQL's own tools only");
  else
    for (const block of [false, true])
      found.push(resources.use(await openPgbackrest({ cluster: source, folder: join(folder, block ? "block" : "plain") }, { ...pgbackrest, block })));
  if (source.binaries.clientTools.includes("pg_basebackup")) found.push(resources.use(await openBasebackup({ cluster: source, folder: join(folder, "base") })));
  return found;
}

/** Full, then an incremental after each share of pages changed, then restore and verification of what is newest then. In new repositories: those of all rounds would take a large disk. */
async function playRound(round: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const opened = await openTools(cluster, join(scratch.path, `round-${round}`), stack);
  if (tools.length === 0) tools.push(...opened);
  const order = opened.map((_, i) => opened[(i + round) % opened.length] as Tool);
  for (const tool of order) await time(order, "full", tool, () => tool.backup("full"), true);
  for (const [i, share] of SHARES.entries()) {
    const pages = await changePages(cluster, share, round * SHARES.length + i);
    say(`${pages} pages changed`);
    for (const tool of order) await time(order, `incremental, ${share * 100} % changed`, tool, () => tool.backup("incremental"), true);
  }
  for (const tool of order) {
    const target = join(scratch.path, "restored");
    const { restore, deltaRestore, verify, verifyStored } = tool;
    if (restore !== null) await time(order, "restore", tool, () => restore(target), false);
    if (deltaRestore !== null) {
      say(`${await spoilPages(target, SPOILED_SHARE)} pages of the restored folder changed`);
      await time(order, `delta restore, ${SPOILED_SHARE * 100} % changed`, tool, () => deltaRestore(target), false);
    }
    await rm(target, { recursive: true, force: true });
    if (verify !== null) await time(order, "verify", tool, verify, false);
    if (verifyStored !== null) await time(order, "verify, stored bytes only", tool, verifyStored, false);
  }
}

async function time(opened: readonly Tool[], operation: string, tool: Tool, act: () => Promise<Cost>, stores: boolean): Promise<void> {
  for (const one of opened) await one.settled?.();
  await dropCaches();
  const before = stores ? await bytesBelow(tool.repository) : 0;
  const cost = await act();
  const storedBytes = stores ? (await bytesBelow(tool.repository)) - before : null;
  say(`${operation}: ${tool.name} ${cost.seconds.toFixed(1)} s`);
  samples.push({ operation, tool: tool.name, cost, storedBytes });
}
