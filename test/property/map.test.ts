import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { comparePaths, isSafePath } from "../../src/domain/file-map.ts";
import type { BlockRun, MapEntry } from "../../src/domain/file-map.ts";
import { lsn } from "../../src/domain/lsn.ts";
import { BackupCopy, CopiesTogether, fanOut } from "../../src/repository/backup-copies.ts";
import { FrameLane } from "../../src/repository/frame-lane.ts";
import { decodeChunk, decodeRoot, encodeChunk, encodeRoot } from "../../src/repository/map-encoding.ts";
import { ChainReader } from "../../src/repository/map-reader.ts";
import { MapWriter } from "../../src/repository/map-writer.ts";
import type { StoredManifest } from "../../src/repository/manifest.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { Random } from "../support/random.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import { manifestOf } from "../support/wal-fixture.ts";

const count = fc.integer({ min: 0, max: 2 ** 31 });
const runs = fc.array(
  fc.record({
    blocks: fc.integer({ min: 1, max: 131_072 }),
    at: fc.option(fc.record({ backup: fc.constantFrom("20260101T000000Z-full", "20260102T000000Z-incr"), pack: count, frame: count, block: count })),
  }),
  { maxLength: 20 },
);
const path = fc
  .array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join("/"))
  .filter(isSafePath);
const entry: fc.Arbitrary<MapEntry> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("file" as const), path, length: count, runs }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("directory" as const), path }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("tablespace" as const), path, target: fc.string({ unit: "grapheme" }) }) },
);

describe("the text of a map", () => {
  test("gives back any entries", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        expect(decodeChunk(encodeChunk(entries), "chunk")).toEqual(entries);
      }),
    );
  });

  test("gives back a file in more runs than a line holds", () => {
    const many: BlockRun[] = Array.from({ length: 50_000 }, (_, i) => ({ blocks: 1 + (i % 3), at: i % 2 === 0 ? null : { backup: "a", pack: 0, frame: i, block: 0 } }));
    const entries: MapEntry[] = [
      { type: "file", path: "base/5/1", length: 1, runs: many },
      { type: "file", path: "base/5/2", length: 1, runs: many.slice(0, 16_384) },
      { type: "file", path: "base/5/3", length: 1, runs: many.slice(0, 16_385) },
    ];
    expect(decodeChunk(encodeChunk(entries), "chunk")).toEqual(entries);
  });

  test("gives back a root in as many pieces as its limit asks for", () => {
    const chunk = fc.record({ firstPath: path, backup: fc.constantFrom("a", "b", "c"), pack: count, frame: count, entries: count });
    const root = fc.record({
      digestSeed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      chunks: fc.array(chunk, { maxLength: 50 }),
      late: fc.array(chunk, { maxLength: 3 }),
      digests: fc.array(fc.record({ dataPack: count, pack: count, frame: count }), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(root, fc.integer({ min: 20_000, max: 100_000 }), (value, limit) => {
        const pieces = encodeRoot(value, limit);
        for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(limit);
        expect(decodeRoot(Buffer.concat(pieces), "root")).toEqual(value);
      }),
    );
  });

  const file = (rest: string): string => `{"backups":["a"]}\n{"type":"file","path":"base/5/1","length":8192,${rest}}\n`;
  const hostile: Record<string, string> = {
    "that is no text": "\0\0\0",
    "without a header": file('"runs":[]').slice(18),
    "with a path that leaves the target": `{"backups":[]}\n{"type":"file","path":"../etc/passwd","length":0,"runs":[]}\n`,
    "with a path that leaves the target further on": `{"backups":[]}\n{"type":"directory","path":"base/../../etc"}\n`,
    "with an absolute path": `{"backups":[]}\n{"type":"file","path":"/etc/passwd","length":0,"runs":[]}\n`,
    "with an absolute path among our own documents": `{"backups":[]}\n{"type":"file","path":"///etc/passwd","length":0,"runs":[]}\n`,
    "with a path that leaves from our own documents": `{"backups":[]}\n{"type":"file","path":"//../../etc/passwd","length":0,"runs":[]}\n`,
    "with a backslash in a path": `{"backups":[]}\n{"type":"file","path":"base\\\\..\\\\x","length":0,"runs":[]}\n`,
    "with a zero byte in a path": `{"backups":[]}\n{"type":"file","path":"base/\\u0000","length":0,"runs":[]}\n`,
    "with a path of no parts": `{"backups":[]}\n{"type":"directory","path":""}\n`,
    "with a path beyond all limits": `{"backups":[]}\n{"type":"directory","path":"${"a/".repeat(3000)}a"}\n`,
    "with a negative length": file('"runs":[]').replace("8192", "-1"),
    "with a length that is no number of bytes": file('"runs":[]').replace("8192", "1e300"),
    "with a run of a backup that is not listed": file('"runs":[[1,7,0,0,0]]'),
    "with a negative run": file('"runs":[[-1]]'),
    "with half a run": file('"runs":[[1,0,0]]'),
    "with a run of fractions": file('"runs":[[0.5]]'),
    "with a run that is no list": file('"runs":[1]'),
    "with a file that is continued and not begun": file('"from":5,"runs":[[1]]'),
    "with a file that is continued elsewhere than it stopped": `${file('"runs":[[1]]')}{"type":"file","path":"base/5/1","length":8192,"from":2,"runs":[[1]]}\n`,
    "of a type there is not": `{"backups":[]}\n{"type":"link","path":"a","target":"/etc"}\n`,
  };
  test.each(Object.keys(hostile))("%s is damage", (name) => {
    expect(() => decodeChunk(Buffer.from(hostile[name] ?? ""), "chunk")).toThrow(expect.objectContaining({ code: "HF-DAMAGE" }) as Error);
  });
});

describe("paths", () => {
  test("beyond the first plane of Unicode come after all others, as their bytes do", () => {
    expect(["\u{1f600}", "\uffee", "z"].toSorted(comparePaths)).toEqual(["z", "\uffee", "\u{1f600}"]);
  });

  test("are ordered as their bytes are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(Math.sign(comparePaths(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }),
    );
  });
});

/** Some thousand files with long names: a map of several chunks. */
function manyFiles(random: Random): Map<string, MapEntry> {
  const names = Array.from({ length: 4000 }, (_, i) => `base/${"a".repeat(150)}/${i.toString().padStart(6, "0")}`);
  return new Map(names.map((name) => [name, fileNamed(name, random)]));
}

function fileNamed(name: string, random: Random): MapEntry {
  return { type: "file", path: name, length: random.integer(0, 1 << 20), runs: [{ blocks: random.integer(1, 100), at: null }] };
}

class Maps {
  readonly #repository: WritableRepository;
  readonly #chain = new Map<string, StoredManifest>();
  constructor(repository: WritableRepository) {
    this.#repository = repository;
  }

  async write(id: string, files: ReadonlyMap<string, MapEntry>, parent: { id: string; files: ReadonlyMap<string, MapEntry> } | null): Promise<void> {
    const copy = new BackupCopy(this.#repository, { source: "db", backup: id, dataKey: await this.#repository.keyRing.sealNew(), clock: systemClock });
    const lane = new FrameLane(fanOut(new CopiesTogether([copy], systemClock), "map"), { level: 1, packPlainBytes: 1 << 20 });
    const map = new MapWriter(lane, { backup: id, parentChunks: parent === null ? [] : (await this.reader().root(parent.id)).chunks });
    const paths = [...new Set([...files.keys(), ...(parent?.files.keys() ?? [])])].toSorted(comparePaths);
    for (const name of paths) {
      const now = files.get(name);
      if (now === undefined) await map.drop(name);
      else await map.add(now, parent?.files.get(name) === now);
    }
    await map.addLate([]);
    const root = await map.finish(1n, []);
    await lane.finish();
    await copy.drained();
    this.#chain.set(id, { sha256: "", manifest: { ...manifestOf(id, { timeline: 1, start: lsn(1n), stop: lsn(2n), stopAt: "2026-01-01T00:00:00Z", writer: "" }), root } });
  }

  reader(): ChainReader {
    return new ChainReader(this.#repository, this.#chain);
  }

  async read(id: string): Promise<MapEntry[]> {
    const entries: MapEntry[] = [];
    for await (const found of this.reader().entries(id)) entries.push(found);
    return entries;
  }
}

describe("a map of several chunks", () => {
  test("is read back along a chain, and takes over the chunks in which nothing changed", async () => {
    await using fixture = await openRepositoryFixture();
    const maps = new Maps(await fixture.open());
    const random = new Random("maps");
    let files: ReadonlyMap<string, MapEntry> = manyFiles(random);
    await maps.write("backup-0", files, null);
    const written = (await maps.reader().root("backup-0")).chunks.length;
    expect(written).toBeGreaterThan(2);
    for (let n = 1; n <= 6; n++) {
      const now = new Map(files);
      const names = [...now.keys()];
      // All at one place, or at several; files that go, change and come.
      const at = random.integer(0, names.length - 100);
      for (const name of names.slice(at, at + random.integer(0, 50))) if (random.chance(0.5)) now.delete(name);
      for (const name of random.sample(names, n % 2 === 0 ? 5 : 0)) now.set(name, fileNamed(name, random));
      for (const name of ["aaa", "zzz", `${names[at] ?? ""}-new`]) if (random.chance(0.5)) now.set(name, fileNamed(name, random));
      await maps.write(`backup-${n}`, now, { id: `backup-${n - 1}`, files });
      expect(await maps.read(`backup-${n}`)).toEqual([...now.values()].toSorted((a, b) => comparePaths(a.path, b.path)));
      files = now;
    }
    await maps.write("backup-same", files, { id: "backup-6", files });
    expect((await maps.reader().root("backup-same")).chunks.filter(({ backup }) => backup === "backup-same")).toEqual([]);
  });
});
