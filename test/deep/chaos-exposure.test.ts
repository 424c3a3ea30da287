import { appendFile, cp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ComplianceReport, CopyExposure } from "../../src/domain/compliance.ts";
import { must } from "../../src/errors.ts";
import type { BackupView } from "../../src/domain/source-info.ts";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { CopyRecorder } from "../support/copy-recorder.ts";
import { CopyTruth } from "../support/copy-truth.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { openSession } from "../support/session.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";
import { startWriter } from "../support/writer.ts";
import type { Acknowledged, Writer } from "../support/writer.ts";

const OBJECTIVE_SECONDS = 20;
/** A look is not of one moment: the copies are listed, then the server is asked. */
const LOOK_SECONDS = 3;
/** Samples come so often at this objective, on a machine that has other things to do. */
const BETWEEN_SAMPLES_SECONDS = 4;
/** The second copy gets a segment so often. Of one that goes away between two looks it is known only what it held at the first of them. */
const SEGMENT_SECONDS = 5;
const CAUGHT_UP_MS = 200_000;
interface Sample {
  readonly at: number;
  readonly seconds: number | null;
}

/**
 * An hour of trouble in some minutes, with `serve` running: either copy away, a backup that fails in one, an idle time, a primary that dies and a standby in its place, a process that is stopped. What
 * was exposed is told by somebody else: a writer that remembers what it was promised, and restores of what each copy held at a moment.
 */
describePostgres("exposure in a time of trouble", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let primary: Cluster;
  let standby: Cluster;
  let proxy: TcpProxy;
  let site: Site;
  let serve: Running;
  let writer: Writer | undefined;
  let [began, ended] = [new Date(0), new Date(0)];
  const away = new Set<string>();
  const acknowledged: Acknowledged[] = [];
  const marks: { name: string; at: Date }[] = [];
  const recorders: CopyRecorder[] = [];
  const truths = new Map<string, CopyTruth>();
  let nextSequence = 1;

  const folderOf = (name: string): string => join(site.folder, away.has(name) ? `${name}-away` : name);
  const note = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    primary = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { wal_keep_size: "256MB", archive_timeout: `${SEGMENT_SECONDS}s` } }));
    standby = await standBy(stack);
    proxy = stack.use(await startTcpProxy(primary.port));
    const cluster = { url: () => `postgres://postgres@127.0.0.1:${proxy.port}/postgres`, dataDirectory: primary.dataDirectory, binaries };
    site = stack.use(
      await openSite({ cluster, repositories: ["onsite", "cloud"], policy: POLICY, inventoryExtra: [`api: { listen: "127.0.0.1:${await freePort()}", demo: true }`] }),
    );
    for (const name of ["onsite", "cloud"]) {
      const recorder = stack.use(new CopyRecorder(() => folderOf(name), join(site.folder, `kept-${name}`)));
      recorders.push(recorder);
      truths.set(name, new CopyTruth({ site, binaries, recorder, acknowledged }));
    }
    serve = site.start({}, "serve");
    await write(100);
    await backUp("full", 0);
    for (const recorder of recorders) await recorder.start(700);
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function standBy(stack: AsyncDisposableStack): Promise<Cluster> {
    await primary.stop();
    const folder = join(stack.use(await openScratchFolder()).path, "standby");
    await cp(primary.dataDirectory, folder, { recursive: true });
    await writeFile(join(folder, "standby.signal"), "");
    await appendFile(join(folder, "postgresql.conf"), `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\nwal_retrieve_retry_interval = '100ms'\n`);
    await giveToServerUser(join(folder, ".."));
    await primary.start();
    return stack.use(await startOnFolder(folder, { binaries }));
  }

  /** From now on writes come at this rate. */
  async function write(ratePerSecond: number): Promise<void> {
    await pauseWriter();
    const through = { connect: async () => openSession(`postgres://postgres@127.0.0.1:${proxy.port}/postgres`) };
    writer = await startWriter(through, { connections: 2, ratePerSecond, firstSequence: nextSequence });
  }

  async function pauseWriter(): Promise<void> {
    if (writer === undefined) return;
    const report = await writer.stop();
    acknowledged.push(...report.acknowledged);
    nextSequence = Math.max(nextSequence, ...report.acknowledged.map(({ sequence }) => sequence + 1), ...report.unanswered.map((sequence) => sequence + 1));
  }

  async function backUp(type: string, exitCode: number): Promise<BackupView> {
    const outcome = await site.run("backup", "--type", type, "--wait", "--json");
    expect(outcome.exitCode, outcome.stderr + serve.output().slice(-4000)).toBe(exitCode);
    return outcome.json<BackupView>();
  }

  async function caughtUp(): Promise<void> {
    const isWell = async (): Promise<boolean> => {
      const { exposure, backups, lagging } = await infoOf(site);
      return lagging?.length === 0 && backups.every(({ copies }) => copies.length === 2) && exposure.length === 2 && exposure.every(({ seconds }) => (seconds ?? 1000) < 12);
    };
    await eventually("both copies have caught up", isWell, CAUGHT_UP_MS).catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify((await infoOf(site)).exposure)}\n${serve.output().slice(-8000)}`);
    });
    // Somebody has to see that it is well.
    await delay(6000);
  }

  async function takeAway(name: string, during: () => Promise<void>): Promise<void> {
    const [place, aside] = [join(site.folder, name), join(site.folder, `${name}-away`)];
    away.add(name);
    await rename(place, aside);
    await writeFile(place, "not a folder");
    await during();
    await rm(place);
    await rename(aside, place);
    away.delete(name);
  }

  function samplesOf(name: string): Sample[] {
    using database = new DatabaseSync(join(site.folder, "state/catalog.sqlite"), { readOnly: true });
    const rows = database.prepare("select at, seconds from exposure where source = 'db' and repository = ? order by at").all(name);
    return rows.map((row) => ({ at: Number(row["at"]), seconds: row["seconds"] === null ? null : Number(row["seconds"]) }));
  }

  async function reported(...more: string[]): Promise<ReadonlyMap<string, CopyExposure>> {
    const out = join(site.folder, `report-${Date.now()}`);
    const outcome = await site.run("report", "--from", began.toISOString(), "--to", ended.toISOString(), "--format", "json", "--out", out, ...more);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    const report = JSON.parse(await readFile(join(out, "report.json"), "utf8")) as ComplianceReport;
    return new Map(report.sources[0]?.exposure.map((copy) => [copy.repository, copy]));
  }

  const mark = (name: string): void => {
    marks.push({ name, at: new Date() });
    note(name);
  };

  test("goes its way", async () => {
    await caughtUp();
    began = new Date();
    mark("steady");
    await delay(12_000);
    mark("cloud goes");
    await takeAway("cloud", async () => {
      await delay(10_000);
      const view = await backUp("incr", 3);
      expect(view.copies.find(({ repository }) => repository === "cloud")?.state).toBe("failed");
      await delay(25_000);
      mark("cloud is still away");
    });
    await caughtUp();
    mark("idle");
    await write(0.25);
    await delay(24_000);
    await pauseWriter();
    await delay(3000);
    mark("the primary dies");
    await standbyHasAll();
    await primary.kill9();
    await delay(3000);
    await standby.promote();
    proxy.leadTo(standby.port);
    await write(100);
    mark("promoted");
    await caughtUp();
    mark("onsite goes");
    await takeAway("onsite", async () => {
      await delay(35_000);
      mark("onsite is still away");
    });
    await caughtUp();
    mark("stopped");
    process.kill(serve.process.pid ?? 0, "SIGSTOP");
    await delay(50_000);
    mark("still stopped");
    process.kill(serve.process.pid ?? 0, "SIGCONT");
    await caughtUp();
    mark("end");
    ended = new Date();
    await pauseWriter();
    serve.process.kill("SIGTERM");
    expect((await serve.ended()).exitCode).toBe(0);
    for (const recorder of recorders) await recorder.stop();
  }, 900_000);

  async function standbyHasAll(): Promise<void> {
    const [row] = await primary.sql("select pg_current_wal_flush_lsn()::text as lsn");
    await eventually("the standby has all", async () => (await standby.sql(`select pg_last_wal_replay_lsn() >= '${row?.["lsn"]}' as there`))[0]?.["there"] === "t");
  }

  test.each(["onsite", "cloud"])(
    "%s was as exposed as its samples say, at every moment that is restored from",
    async (name) => {
      const [samples, truth] = [samplesOf(name), truthOf(name)];
      const wrong: string[] = [];
      const step = (ended.getTime() - began.getTime()) / 6;
      const times = [...Array.from({ length: 6 }, (_, i) => began.getTime() + (i + 0.5) * step), ...marks.map(({ at }) => at.getTime() - 500)].filter((at) => at > began.getTime());
      for (const at of times.toSorted((a, b) => a - b)) {
        const moment = truth.momentAt(at);
        const { exposure } = await truth.at(moment);
        const atMs = moment.at.getTime();
        const before = samples.findLast((sample) => sample.at <= atMs);
        // What was reached while the copies were looked at may have been missed by that look, and not by the next.
        const after = samples.find((sample) => sample.at > atMs + LOOK_SECONDS * 1000 && sample.seconds !== null);
        const most = before?.seconds === null || before === undefined ? Infinity : before.seconds + (atMs - before.at) / 1000;
        const least = after === undefined ? 0 : (after.seconds ?? 0) - (after.at - atMs) / 1000;
        const line = `${new Date(atMs).toISOString().slice(11, 21)} ${name}: ${exposure.toFixed(1)} s, samples say ${least.toFixed(1)} to ${most.toFixed(1)}`;
        note(line);
        if (exposure > most + LOOK_SECONDS || exposure < least - LOOK_SECONDS - SEGMENT_SECONDS) wrong.push(line);
      }
      expect(wrong).toEqual([]);
    },
    600_000,
  );

  /** How long samples were late, in seconds, until nobody could take any: on a busy machine looks take their time. */
  function lateIn(samples: readonly Sample[]): number {
    const own = samples.filter(({ at }) => at >= began.getTime() && at <= markedAt("stopped"));
    return own.reduce((sum, { at }, i) => sum + Math.max(0, (at - (own[i - 1]?.at ?? at)) / 1000 - BETWEEN_SAMPLES_SECONDS), 0);
  }

  const truthOf = (name: string): CopyTruth => must(truths.get(name), name);
  const markedAt = (name: string): number => marks.find((other) => other.name === name)?.at.getTime() ?? NaN;

  test.each([
    [
      "onsite",
      [
        ["onsite is still away", "stopped"],
        ["still stopped", "end"],
      ],
    ],
    [
      "cloud",
      [
        ["cloud is still away", "idle"],
        ["still stopped", "end"],
      ],
    ],
  ] as const)(
    "%s: the report names the breaches that there were, when they began and ended, the worst of them, and what nobody saw",
    async (name, inBreach) => {
      const [copy, truth] = [must((await reported()).get(name), "a copy"), truthOf(name)];
      const wanted: { from: number; to: number; peak: number }[] = [];
      for (const [during, before] of inBreach) {
        const { oldestMissing } = await truth.at(truth.momentAt(markedAt(during)));
        const to = await truth.recovered(OBJECTIVE_SECONDS, { fromMs: markedAt(during), toMs: markedAt(before) });
        // Catching up takes some seconds, in which it falls.
        const last: number[] = [];
        for (const beforeMs of [1000, 3000, 5000, 8000]) last.push((await truth.at(truth.momentAt(to - beforeMs))).exposure);
        wanted.push({ from: (oldestMissing ?? NaN) + OBJECTIVE_SECONDS * 1000, to, peak: Math.max(...last) });
      }
      note(`${name}: ${JSON.stringify(wanted.map(({ from, to, peak }) => [new Date(from), new Date(to), peak]))}, reported ${JSON.stringify(copy.breaches)}`);
      expect(copy.breaches).toHaveLength(wanted.length);
      for (const [i, { from, to, peak }] of wanted.entries()) {
        const breach = must(copy.breaches[i], "a breach");
        const late = (Date.parse(breach.from) - from) / 1000;
        expect(late).toBeLessThanOrEqual(LOOK_SECONDS);
        expect(late).toBeGreaterThanOrEqual(-LOOK_SECONDS - SEGMENT_SECONDS);
        const lasted = (Date.parse(breach.to) - to) / 1000;
        expect(Math.abs(lasted)).toBeLessThanOrEqual(LOOK_SECONDS + BETWEEN_SAMPLES_SECONDS);
        expect(breach.peakSeconds - peak).toBeLessThanOrEqual(LOOK_SECONDS + SEGMENT_SECONDS);
        expect(breach.peakSeconds - peak).toBeGreaterThanOrEqual(-LOOK_SECONDS - BETWEEN_SAMPLES_SECONDS);
        expect(breach.end).toBe("recovered");
      }
      expect(copy.worst?.seconds).toBe(Math.max(...copy.breaches.map(({ peakSeconds }) => peakSeconds)));
      // Nobody could look while the primary was dead; nor while serve was stopped, but what was seen afterwards had been missing all that time.
      const unobserved = ((copy.unobservedShare ?? NaN) * (ended.getTime() - began.getTime())) / 1000;
      const dead = (markedAt("promoted") - markedAt("the primary dies")) / 1000;
      note(`${name}: unobserved ${unobserved.toFixed(1)} s, the primary was dead for ${dead.toFixed(1)} s`);
      expect(unobserved).toBeGreaterThan(0);
      expect(unobserved).toBeLessThanOrEqual(dead + lateIn(samplesOf(name)) + 2 * (LOOK_SECONDS + BETWEEN_SAMPLES_SECONDS));
    },
    600_000,
  );

  test("a gap that is found later restates what was measured: as known then, and as known now", async () => {
    const known = new Date();
    const lostMs = await loseSegment("cloud", markedAt("idle") - 6000);
    // Whoever looks next finds it.
    expect([0, 1]).toContain((await site.run("status")).exitCode);
    const copy = must((await reported()).get("cloud"), "a copy");
    const [restated] = copy.restatements;
    note(`lost from ${new Date(lostMs).toISOString()}, restated ${JSON.stringify(restated)}, ${JSON.stringify(copy.breaches)}`);
    // From the oldest commit that is lost with the segment until it was found: no backup lies behind it.
    expect(Math.abs(Date.parse(restated?.from ?? "") - lostMs) / 1000).toBeLessThanOrEqual(1);
    expect(Date.parse(restated?.until ?? "")).toBeGreaterThanOrEqual(known.getTime());
    expect(copy.breaches).toHaveLength(2);
    const last = must(copy.breaches[1], "a breach");
    expect(last.end).toBe("open");
    expect(Math.abs(Date.parse(last.from) - lostMs) / 1000 - OBJECTIVE_SECONDS).toBeLessThanOrEqual(1);
    expect(Math.abs((copy.worst?.seconds ?? 0) - (ended.getTime() - lostMs) / 1000)).toBeLessThanOrEqual(BETWEEN_SAMPLES_SECONDS);
    const before = must((await reported("--as-of", known.toISOString())).get("cloud"), "a copy");
    expect(before.restatements).toEqual([]);
    expect(before.breaches.map(({ end }) => end)).toEqual(["recovered", "recovered"]);
  }, 600_000);

  /** Deletes the first segment of the old timeline that came into a copy after a time; says from when on commits are lost with it. */
  async function loseSegment(name: string, afterMs: number): Promise<number> {
    const { moments } = truthOf(name);
    const cameAt = (i: number): string | undefined =>
      [...(moments[i]?.files.keys() ?? [])].find((path) => /\/wal\/[^/]+\/00000001\/[0-9A-F]{16}\/[0-9A-F]{24}-/.test(path) && moments[i - 1]?.files.has(path) === false);
    const index = moments.findIndex(({ at }, i) => at.getTime() > afterMs && cameAt(i) !== undefined);
    await rm(join(site.folder, name, must(cameAt(index), "a segment that came later")));
    const { oldestMissing } = await truthOf(name).at(must(moments[index - 1], "a moment"));
    return must(oldestMissing, "a commit that was lost");
  }
});

const RULE = "{ schedule: { every: 700d }, retention: { keepLast: 20 }, repositories: [onsite, cloud] }";
const POLICY = `objectives: { rpo: ${OBJECTIVE_SECONDS}s, rto: 1h }
backups:
  full: ${RULE}
  incremental: ${RULE}
  log: { schedule: stream, retention: 7d, repositories: [onsite, cloud] }
expire: { schedule: { every: 700d } }
`;
