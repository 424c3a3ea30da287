import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { parseLsn } from "../../src/domain/lsn.ts";
import { HoldfastError } from "../../src/errors.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { expire } from "../../src/operations/expire/expire.ts";
import { planRestore } from "../../src/operations/restore/plan-restore.ts";
import { restore } from "../../src/operations/restore/restore.ts";
import { verifyRepository } from "../../src/operations/verify/verify-repository.ts";
import { startStream } from "../../src/operations/wal/run-stream.ts";
import { ensureBound } from "../../src/repository/binding.ts";
import { keys } from "../../src/repository/layout.ts";
import { listManifests } from "../../src/repository/manifest.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import type { RepositoryFixture } from "../support/repository-fixture.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { withFaults } from "../support/store-faults.ts";

/**
 * Each operation as a whole, on a store of which one call fails: the first, the second, and so on until none is left to fail. HOLDFAST_EVERY_CALL=1 takes each; by default those that are far
 * apart, and all of the first and the last ones, where documents are: packs and segments come in between, one like the other.
 */
const EVERY = process.env["HOLDFAST_EVERY_CALL"] === "1";
const AT_MOST = 7;
const FAULT = new HoldfastError("HF-STORAGE", "the store does not answer");

const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };

/** Which calls fail, of so many. */
function chosen(calls: number): number[] {
  const all = Array.from({ length: calls }, (_, i) => i + 1);
  if (EVERY || calls <= AT_MOST) return all;
  const step = calls / (AT_MOST - 4);
  return all.filter((nth) => nth <= 2 || nth > calls - 2 || Math.floor(nth / step) !== Math.floor((nth - 1) / step));
}

describePostgres("a store of which one call fails", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let fixture: RepositoryFixture;
  let repository: WritableRepository;
  /** Manifests that were put on record as deleted, before they were. */
  let deleted: Set<string>;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    await source.sql("create table t as select g as id from generate_series(1, 1000) g");
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    repository = await fixture.open();
    deleted = new Set();
    return async () => fixture[Symbol.asyncDispose]();
  });

  async function takeBackup(store: ObjectStore, type: "full" | "incremental" = "full"): Promise<void> {
    const through = { ...repository, store };
    const target = { name: "db", url: source.url(), dataDirectory: source.dataDirectory };
    const { copies } = await backUp({ source: target, type, repositories: [through], logRepositories: [through], runId: "run", compressionLevel: 1 }, context);
    const [copy] = copies;
    if (copy?.stored === null || copy === undefined) throw copy?.error;
  }

  async function backups(): Promise<number> {
    return (await listManifests(repository, "db")).backups.length;
  }

  /** Everything that is there is whole. What nobody has finished may be left, and hurts nobody. */
  async function expectSound(what: string): Promise<void> {
    const { damage } = await verifyRepository({ repository, source: "db", backup: null, tier: "stored" }, context);
    expect(
      damage.filter(({ object }) => !deleted.has(object)),
      what,
    ).toEqual([]);
  }

  /** Does it once to count the calls, then with each of the chosen ones failing. */
  async function failing(
    act: (store: ObjectStore) => Promise<void>,
    after: (nth: number, error: unknown) => Promise<void>,
    prepare: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    await prepare();
    const counting = withFaults(repository.store);
    await act(counting.store);
    const calls = counting.allCalls();
    if (process.env["HOLDFAST_SHOW_CALLS"] !== undefined) process.stdout.write(`${calls} calls\n`);
    expect(calls).toBeGreaterThan(10);
    for (const nth of chosen(calls)) {
      await prepare();
      const faulty = withFaults(repository.store);
      faulty.queueNth(nth, { before: FAULT });
      let error: unknown = null;
      try {
        await act(faulty.store);
      } catch (caught) {
        error = caught;
      }
      if (error !== null) expect(error, `call ${nth} of ${calls}`).toBeInstanceOf(HoldfastError);
      if (error instanceof HoldfastError) expect([3, 4], `call ${nth} of ${calls}: ${error.code} ${error.message}`).toContain(error.exitCode);
      await after(nth, error);
    }
  }

  test("a backup is there or it is not, and the next one is", async () => {
    let there = 0;
    await failing(
      (store) => takeBackup(store),
      async (nth, error) => {
        const now = await backups();
        if (error === null) expect(now, `call ${nth} failed, and the backup did not say so`).toBe(there + 1);
        else expect([there, there + 1], `call ${nth}`).toContain(now);
        await expectSound(`call ${nth}`);
        there = now;
      },
      async () => void (there = await backups()),
    );
    await takeBackup(repository.store);
    expect(await backups()).toBe(there + 1);
    await expectSound("at last");
  });

  test("a restore leaves nothing that could be started, and the next one into the same place is whole", async () => {
    await takeBackup(repository.store);
    const target = join(fixture.folder, "..", "target");
    const act = async (store: ObjectStore): Promise<void> => {
      const view = await CopyView.open({ ...repository, store }, "db");
      if (view === null) throw new Error("nothing is there");
      const plan = await planRestore(view, { target: { kind: "immediate" }, backup: null, timeline: "latest", exclusive: false, acceptGap: false });
      await restore({ plan, target, tablespaces: new Map(), owner: null, action: "promote", socketDirectory: "/tmp", port: 5499, sharedBuffersMaxBytes: 1 << 26 }, context);
    };
    await failing(
      act,
      async (nth, error) => {
        expect(existsSync(join(target, "global/pg_control")), `call ${nth}`).toBe(error === null);
        if (error !== null) await act(repository.store);
        expect(existsSync(join(target, "global/pg_control"))).toBe(true);
      },
      async () => rm(target, { recursive: true, force: true }),
    );
  });

  test("an expiry leaves what it keeps whole, and the next one takes the rest", async () => {
    const onDeletion = async ({ backup }: Record<string, unknown>): Promise<void> => void deleted.add(keys.manifest("db", String(backup)));
    const rules = new Map([["full" as const, { keepForSeconds: null, keepLast: 1, daily: null, weekly: null, monthly: null, yearly: null }]]);
    const act = async (store: ObjectStore): Promise<void> => {
      const request = { repository: { ...repository, store }, source: "db", logRetentionSeconds: 0, dryRun: false, onDeletion, rules, runId: "run" };
      await expire(request, context);
    };
    await failing(
      act,
      async (nth, error) => {
        if (error !== null) await act(repository.store);
        expect(await backups(), `call ${nth}`).toBe(1);
        await expectSound(`call ${nth}`);
      },
      async () => {
        for (let there = await backups(); there < 2; there++) await takeBackup(repository.store);
      },
    );
  });

  test("a stream says so, and the next one brings all WAL: none is lost", async () => {
    const row = (await source.sql("select system_identifier::text as id from pg_control_system()"))[0];
    const place = { source: "db", systemIdentifier: String(row?.["id"]), segmentBytes: 1 << 20 };
    await ensureBound(repository, "db", { kind: "postgres", systemIdentifier: place.systemIdentifier, version: 0, walSegmentBytes: place.segmentBytes }, systemClock.now());
    const target = { name: "db", url: source.url(), dataDirectory: source.dataDirectory };
    let wanted = parseLsn("0/0");
    const act = async (store: ObjectStore): Promise<void> => {
      await using stream = await startStream({ source: target, place, repositories: [{ ...repository, store }], runId: "run" }, context);
      await stream.reached(wanted, AbortSignal.timeout(60_000));
      await stream.stop();
    };
    await failing(
      act,
      async (nth, error) => {
        if (error !== null) await act(repository.store);
        const view = await CopyView.open(repository, "db");
        expect(view?.gaps(), `call ${nth}`).toEqual([]);
        expect(view === null ? null : view.endOfWal({ timeline: 1, forks: [] }) >= wanted, `call ${nth}`).toBe(true);
        await expectSound(`call ${nth}`);
      },
      async () => {
        for (let i = 0; i < 2; i++) await source.sql("select pg_logical_emit_message(true, 'fill', repeat('x', 1000)); select pg_switch_wal()");
        await source.sql("select pg_logical_emit_message(true, 'fill', 'in a segment of which there are parts')");
        wanted = parseLsn(String((await source.sql("select pg_current_wal_flush_lsn()::text as lsn"))[0]?.["lsn"]));
      },
    );
  });
});
