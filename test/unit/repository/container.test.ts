import { createHash, randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { constants, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { MAX_PLAIN_BYTES } from "../../../src/repository/container-format.ts";
import type { ContainerKind } from "../../../src/repository/container-format.ts";
import { FrameReader } from "../../../src/repository/container-reader.ts";
import { openContainer } from "../../../src/repository/open-container.ts";
import type { ExpectedContainer } from "../../../src/repository/open-container.ts";
import { newSeal, openContainerWriter } from "../../../src/repository/container-writer.ts";
import { encryptFrame } from "../../../src/repository/frame-codec.ts";
import { createKeyRing, newMapKey } from "../../../src/repository/key-ring.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { putIfAbsent } from "../../../src/storage/object-store.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import { withFaults } from "../../support/store-faults.ts";

const KINDS: readonly ContainerKind[] = ["data", "map", "wal", "part", "history"];

describe("a container", () => {
  let fixture: RepositoryFixture;
  let repository: WritableRepository;
  let count = 0;
  beforeAll(async () => {
    fixture = await openRepositoryFixture();
    repository = await fixture.open();
  });
  afterAll(async () => fixture[Symbol.asyncDispose]());

  const expectedAt = (key: string, kind: ContainerKind): ExpectedContainer => ({ objectKey: key, boundKey: key, source: "db", kind });

  async function write(kind: ContainerKind, plain: readonly Buffer[], into = repository, key = `sources/db/test/${count++}`): Promise<string> {
    const writer = await openContainerWriter({
      repository: into,
      source: "db",
      kind,
      objectKey: key,
      boundKey: key,
      key: kind === "map" ? into.mapKey : await into.keyRing.sealNew(),
      now: systemClock.now(),
    });
    try {
      for (const [i, frame] of plain.entries()) await writer.append(await writer.seal(frame, i, 3));
      await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return key;
  }

  async function read(key: string, kind: ContainerKind, from = repository): Promise<Buffer[]> {
    const container = await openContainer(from, expectedAt(key, kind));
    const frames: Buffer[] = [];
    for await (const { plain } of new FrameReader(from, container).readMany(container.frames.map((_, i) => i))) frames.push(plain);
    return frames;
  }

  /** The same object with other bytes, under a key of its own that it was not written for: put back in its place. */
  async function replace(key: string, bytes: Uint8Array): Promise<void> {
    await fixture.store.remove([key]);
    await putIfAbsent(fixture.store, key, bytes);
  }

  test.each(KINDS)("of kind %s gives back what was written: nothing, little, much, compressible and not", async (kind) => {
    const frames = [Buffer.alloc(0), Buffer.from("x"), randomBytes(100_000), Buffer.alloc(MAX_PLAIN_BYTES[kind], 7), randomBytes(MAX_PLAIN_BYTES[kind])];
    const back = await read(await write(kind, frames), kind);
    expect(back).toHaveLength(frames.length);
    for (const [i, frame] of frames.entries()) expect(back[i]?.equals(frame), `frame ${i}`).toBe(true);
    expect(await read(await write(kind, []), kind)).toEqual([]);
  });

  test("of many frames gives back any of them alone, and any run of them", async () => {
    const frames = Array.from({ length: 1000 }, (_, i) => Buffer.from(`frame ${i}`));
    const container = await openContainer(repository, expectedAt(await write("data", frames), "data"));
    const reader = new FrameReader(repository, container);
    for (const i of [0, 1, 499, 999]) expect((await reader.read(i)).toString()).toBe(`frame ${i}`);
    const some: string[] = [];
    for await (const { index, plain } of reader.readMany([0, 3, 4, 5, 900])) some.push(`${index} ${plain.toString()}`);
    expect(some).toEqual([0, 3, 4, 5, 900].map((i) => `${i} frame ${i}`));
    await expect(reader.read(1000)).rejects.toMatchObject({ code: "HF-DAMAGE" });
  });

  test("that cannot be written into files writes nothing more when it says so: the numbers of files are used again", async () => {
    const frames = Array.from({ length: 40 }, () => randomBytes(1 << 20));
    const key = await write("data", frames);
    // So much that threads are at work from here on.
    expect(await read(key, "data")).toHaveLength(frames.length);
    const reader = new FrameReader(repository, await openContainer(repository, expectedAt(key, "data")));
    await using scratch = await openScratchFolder();
    for (let attempt = 0; attempt < 10; attempt++) {
      const place = join(scratch.path, `file-${attempt}`);
      const file = await open(place, "w+");
      const failing = reader.writeMany(
        frames.map((_, i) => i),
        (index, length) => {
          if (index === 0) throw new Error("no such place");
          return Array.from({ length: 16 }, (_, i) => ({ fd: file.fd, at: index * length + i, from: i, length: length - i }));
        },
      );
      await expect(failing).rejects.toThrow("no such place");
      const bytes = await readFile(place);
      await sleep(50);
      expect(bytes.equals(await readFile(place))).toBe(true);
      await file.close();
    }
  });

  test("is refused with any single bit of it flipped", async () => {
    const key = await write("data", [Buffer.from("the first"), Buffer.from("the second")]);
    const bytes = await fixture.store.read(key);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const store = { ...repository.store, readTail: tailOf(damaged), readRange: rangeOf(damaged) };
      await expect(read(key, "data", { ...repository, store }), `bit ${bit & 7} of byte ${bit >> 3} of ${bytes.length}`).rejects.toMatchObject({ code: "HF-DAMAGE" });
    }
  });

  test("is refused cut off at any place, and with anything appended", async () => {
    const key = await write("data", [Buffer.from("the first"), Buffer.from("the second")]);
    const bytes = await fixture.store.read(key);
    for (let length = 0; length <= bytes.length + 3; length++) {
      if (length === bytes.length) continue;
      const damaged = length < bytes.length ? bytes.subarray(0, length) : Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
      const store = { ...repository.store, readTail: tailOf(damaged), readRange: rangeOf(damaged) };
      await expect(read(key, "data", { ...repository, store }), `${length} of ${bytes.length} bytes`).rejects.toMatchObject({ code: "HF-DAMAGE" });
    }
  });

  test("is refused in the place of another, though both are authentic", async () => {
    const [a, b] = [await write("data", [Buffer.from("a")]), await write("data", [Buffer.from("b")])];
    const bytes = await fixture.store.read(a);
    await replace(a, await fixture.store.read(b));
    await replace(b, bytes);
    for (const key of [a, b]) await expect(read(key, "data")).rejects.toThrow(/was written as/);
  });

  test("is refused as another kind, of another source, and of another repository", async () => {
    const key = await write("part", [Buffer.from("x")]);
    await expect(read(key, "wal")).rejects.toThrow(/was written as part/);
    await expect(openContainer(repository, { ...expectedAt(key, "part"), source: "other" })).rejects.toThrow(/was written as/);
    await using another = await openRepositoryFixture();
    const foreign = await another.open();
    await putIfAbsent(another.store, key, await fixture.store.read(key));
    await expect(read(key, "part", foreign)).rejects.toThrow(/signed by a host that this repository does not know/);
  });

  test("whose frames were exchanged, one for one, is refused", async () => {
    const [a, b] = [await write("data", [Buffer.from("same length 1")]), await write("data", [Buffer.from("same length 2")])];
    const [of, other] = [await fixture.store.read(a), await fixture.store.read(b)];
    const { frames } = await openContainer(repository, expectedAt(a, "data"));
    const { offset = 0, storedLength = 0 } = frames[0] ?? {};
    other.copy(of, offset, offset, offset + storedLength);
    await replace(a, of);
    await expect(read(a, "data")).rejects.toThrow(/does not fit its digest/);
  });

  test("does not open with another key, and says so before anything is decrypted", async () => {
    const data = await write("data", [Buffer.from("x")]);
    const map = await write("map", [Buffer.from("x")]);
    const keyless = {
      ...repository,
      keyRing: createKeyRing({ current: repository.keyRing.current, findCurrent: async () => repository.keyRing.current, identities: [], mapKeys: [] }),
    };
    await expect(read(data, "data", keyless)).rejects.toMatchObject({ code: "HF-KEY" });
    await expect(read(map, "map", keyless)).rejects.toThrow(/its map key is not at hand/);
    const wrong = { ...repository, keyRing: { ...repository.keyRing, open: async () => randomBytes(32), mapKey: () => newMapKey() } };
    for (const [key, kind] of [
      [data, "data"],
      [map, "map"],
    ] as const)
      await expect(read(key, kind, wrong)).rejects.toThrow(/does not fit its commitment/);
  });

  test("holds nothing of what is in it in clear, and the same content never twice the same", async () => {
    const secret = Buffer.from("an unmistakable sentence that must not be found");
    const [a, b] = [await fixture.store.read(await write("data", [secret])), await fixture.store.read(await write("data", [secret]))];
    for (const bytes of [a, b]) expect(bytes.includes(secret.subarray(0, 12))).toBe(false);
    const frames = async (bytes: Buffer): Promise<string> => createHash("sha256").update(bytes.subarray(8, 60)).digest("hex");
    expect(await frames(a)).not.toBe(await frames(b));
  });

  test("with a frame that unpacks to more than it declares, or to another length, is refused without being unpacked", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 << 20), { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
    for (const declared of [100, 1 << 20]) {
      const key = `sources/db/test/${count++}`;
      const target = { repository, source: "db", kind: "data" as const, objectKey: key, boundKey: key, key: await repository.keyRing.sealNew(), now: systemClock.now() };
      const seal = newSeal(target);
      const writer = await openContainerWriter(target, seal);
      await writer.append(encryptFrame({ bytes: bomb, plainLength: declared, codec: 1 }, { ...seal, index: 0 }));
      await writer.finish();
      await expect(read(key, "data")).rejects.toMatchObject({ code: "HF-DAMAGE" });
    }
  });

  test.each(KINDS)("of kind %s is not written with a frame that no reader would take", async (kind) => {
    await expect(write(kind, [Buffer.alloc(MAX_PLAIN_BYTES[kind] + 1)])).rejects.toThrow(/the format allows/);
  });

  test("is there whole or not at all, whichever call of the store fails, and can then be written again", async () => {
    const plain = [randomBytes(50_000), Buffer.from("end")];
    const key = "sources/db/test/faulty";
    // Opened, two frames and the trailer written, made visible.
    for (let nth = 1; nth <= 5; nth++) {
      using faulty = withFaults(fixture.store);
      faulty.queueNth(nth, { before: new Error("the disk is gone") });
      await expect(write("data", plain, { ...repository, store: faulty.store }, key)).rejects.toThrow("the disk is gone");
      expect(await fixture.store.size(key), `call ${nth}`).toBeNull();
    }
    await write("data", plain, repository, key);
    expect(Buffer.concat(await read(key, "data")).equals(Buffer.concat(plain))).toBe(true);
  });
});

function tailOf(bytes: Buffer): (key: string, length: number) => Promise<{ bytes: Buffer; size: number }> {
  return async (_, length) => ({ bytes: bytes.subarray(Math.max(0, bytes.length - length)), size: bytes.length });
}

function rangeOf(bytes: Buffer): (key: string, offset: number, length: number) => Promise<Buffer> {
  return async (_, offset, length) => {
    const range = bytes.subarray(offset, offset + length);
    return range.length === length ? range : Buffer.concat([range, Buffer.alloc(length - range.length)]);
  };
}
