import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { FileEntry } from "../../src/domain/file-map.ts";
import { lsn } from "../../src/domain/lsn.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { copyCluster } from "../../src/operations/backup/copy-cluster.ts";
import type { CopyTotals } from "../../src/operations/backup/copy-cluster.ts";
import type { ParentBackup } from "../../src/operations/backup/merge-parent.ts";
import { BlockComparison } from "../../src/operations/restore/block-comparison.ts";
import { compareWithTarget, removeStrangers } from "../../src/operations/restore/delta-target.ts";
import { restoreFiles } from "../../src/operations/restore/restore-files.ts";
import { SkippedUnlogged, walkCluster } from "../../src/operations/backup/walk-cluster.ts";
import { BackupCopy, CopiesTogether, fanOut } from "../../src/repository/backup-copies.ts";
import { createBlockDigest } from "../../src/repository/block-digest.ts";
import { BlockWriter, EXTENT_BYTES, PACK_PLAIN_BYTES } from "../../src/repository/block-writer.ts";
import { FrameLane } from "../../src/repository/frame-lane.ts";
import { ChainReader } from "../../src/repository/map-reader.ts";
import { MapWriter } from "../../src/repository/map-writer.ts";
import type { Manifest, StoredManifest } from "../../src/repository/manifest.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import { BLOCK_BYTES, ClusterModel, SEGMENT_BLOCKS } from "../support/cluster-model.ts";
import { manifestOf } from "../support/wal-fixture.ts";

/**
 * Any chain of backups of any history of a cluster gives back, for every backup, exactly the files there were: whatever was written, cut, extended with pages of zeros, dropped or
 * made anew, and whether changes were found by digests or by summaries that name no more than what WAL would.
 */
const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
const SHAPE = { blockSize: BLOCK_BYTES, segmentBlocks: SEGMENT_BLOCKS, dataChecksums: false };

interface Taken {
  readonly id: string;
  readonly stored: StoredManifest;
  readonly files: ReadonlyMap<string, Buffer>;
}

class Chain {
  readonly taken: Taken[] = [];
  readonly #repository: WritableRepository;
  readonly #model: ClusterModel;

  constructor(repository: WritableRepository, model: ClusterModel) {
    this.#repository = repository;
    this.#model = model;
  }

  reader(backup: Taken): ChainReader {
    const needed = new Set([backup.id, ...backup.stored.manifest.ancestors.map(({ id }) => id)]);
    return new ChainReader(this.#repository, new Map(this.taken.filter(({ id }) => needed.has(id)).map(({ id, stored }) => [id, stored])));
  }

  /** `parent`: which of those taken, or null for a full. */
  async backUp(parent: Taken | null, source: "digests" | "summaries"): Promise<void> {
    const id = `2026010${1 + Math.floor(this.taken.length / 10)}T00000${this.taken.length % 10}Z-${parent === null ? "full" : "incr"}`;
    const chain = parent === null ? null : this.reader(parent);
    const root = chain === null || parent === null ? null : await chain.root(parent.id);
    const copy = new BackupCopy(this.#repository, { source: "db", backup: id, dataKey: await this.#repository.keyRing.sealNew(), clock: systemClock });
    const lanes = {
      data: new FrameLane(fanOut(new CopiesTogether([copy], systemClock), "data"), { level: 1, packPlainBytes: PACK_PLAIN_BYTES >> 7 }),
      map: new FrameLane(fanOut(new CopiesTogether([copy], systemClock), "map"), { level: 1, packPlainBytes: 64 << 10 }),
    };
    const writer = new BlockWriter(lanes, { backup: id, blockSize: BLOCK_BYTES, extentBytes: (parent === null ? EXTENT_BYTES.full : EXTENT_BYTES.incremental) >> 4 });
    const map = new MapWriter(lanes.map, { backup: id, parentChunks: root?.chunks ?? [] });
    const seed = root?.digestSeed ?? 42n;
    const files = this.#model.files();
    const reader = this.#model.reader();
    const parentBackup: ParentBackup | null = chain === null || parent === null ? null : { id: parent.id, chain, late: new Map<string, FileEntry>() };
    const totals: CopyTotals = { sourceBytes: 0, readBytes: 0, files: 0, suspects: [] };
    await copyCluster(
      {
        source: { reader, signal: context.signal, clock: systemClock },
        shape: SHAPE,
        parent: parentBackup,
        changes: parent === null || source === "digests" ? null : this.#model.changesSince(parent.id),
        writer,
        map,
        digest: await createBlockDigest(seed),
      },
      walkCluster({ reader, tablespaces: new Map(), major: 15, catalogVersion: 1, logFolder: null }, new SkippedUnlogged()),
      () => false,
      totals,
      context,
    );
    writer.finish();
    await lanes.data.finish();
    await map.addLate([]);
    const place = await map.finish(seed, writer.digestFrames);
    await lanes.map.finish();
    await copy.drained();
    const ancestors = [...map.ancestors].map((ancestor) => ({ id: ancestor, sha256: "" }));
    const manifest: Manifest = { ...manifestOf(id, { timeline: 1, start: lsn(1n), stop: lsn(2n), stopAt: "2026-01-01T00:00:00Z", writer: "" }), ancestors, root: place };
    this.taken.push({ id, stored: { manifest, sha256: "" }, files });
    this.#model.mark(id);
  }

  /** `over`: what another backup left in the folder is used. */
  async restore(backup: Taken, folder: string, { over }: { over: boolean }): Promise<Map<string, Buffer>> {
    await mkdir(folder, { recursive: true });
    const chain = this.reader(backup);
    if (over) await removeStrangers(await compareWithTarget(chain, backup.id, folder, new Map(), () => false));
    const delta = over ? await BlockComparison.open(chain, backup.id, BLOCK_BYTES) : null;
    await restoreFiles(chain, backup.id, { root: folder, tablespaces: new Map(), owner: null, blockSize: BLOCK_BYTES, delta }, () => false, context);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return new Map(await Promise.all(files.map(async (file): Promise<[string, Buffer]> => [file.slice(folder.length + 1), await readFile(file)])));
  }
}

function expectSame(restored: ReadonlyMap<string, Buffer>, files: ReadonlyMap<string, Buffer>): void {
  expect([...restored.keys()].toSorted()).toEqual([...files.keys()].toSorted());
  for (const [path, content] of files) {
    const found = restored.get(path) ?? Buffer.alloc(0);
    if (!found.equals(content)) throw new Error(`${path} differs: ${describeDifference(found, content)}`);
  }
}

function describeDifference(found: Buffer, content: Buffer): string {
  if (found.length !== content.length) return `${found.length} bytes, not ${content.length}`;
  const at = content.findIndex((byte, i) => byte !== found[i]);
  return `from block ${Math.floor(at / BLOCK_BYTES)} on`;
}

describe("a chain of backups", () => {
  test("gives back exactly what there was, at every backup of it, in a new folder and over what another left", { timeout: 180_000 }, async () => {
    await using fixture = await openRepositoryFixture();
    let run = 0;
    const steps = fc.array(
      fc.record({
        changes: fc.integer({ min: 0, max: 12 }),
        parent: fc.integer({ min: 0, max: 9 }),
        full: fc.integer({ min: 0, max: 9 }),
        source: fc.constantFrom("digests", "summaries"),
      }),
      { minLength: 2, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer(), steps, async (seed, chosen) => {
        const repository = await fixture.open(`run-${run++}`);
        const model = new ClusterModel(seed);
        const chain = new Chain({ ...repository, store: repository.store }, model);
        for (const step of chosen) {
          for (let i = 0; i < step.changes; i++) model.change();
          const parent = chain.taken.length === 0 || step.full === 0 ? null : (chain.taken[step.parent % chain.taken.length] ?? null);
          await chain.backUp(parent, step.source);
        }
        const restored = (name: string): string => join(fixture.folder, `../restored-${run}-${name}`);
        for (const [i, backup] of chain.taken.entries()) expectSame(await chain.restore(backup, restored(`${i}`), { over: false }), backup.files);
        for (const backup of chain.taken.toReversed()) expectSame(await chain.restore(backup, restored("over"), { over: true }), backup.files);
        await fixture.store.remove(await everyObject(repository));
      }),
      { numRuns: 60 },
    );
  });
});

async function everyObject({ store }: WritableRepository): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list("sources/")) found.push(key);
  return found;
}
