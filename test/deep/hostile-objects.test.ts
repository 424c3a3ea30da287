import { existsSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContainerWriter } from "../../src/repository/container-writer.ts";
import { encryptFrame, openFrame } from "../../src/repository/frame-codec.ts";
import type { FrameFacts, FrameSecret } from "../../src/repository/frame-codec.ts";
import { keys } from "../../src/repository/layout.ts";
import type { Manifest } from "../../src/repository/manifest.ts";
import { FORGED_ID, forgeBackup, forgeContainer, leave } from "../support/hostile-repository.ts";
import type { Forgery } from "../support/hostile-repository.ts";
import { HostileSite } from "../support/hostile-site.ts";
import { describePostgres } from "../support/postgres-suite.ts";

/**
 * A repository that somebody else wrote in: one who has the passphrase and a host that was admitted (all is signed and sealed as it should be, and lies), or a thief without any key.
 * Here: manifests, containers and names. Whatever lies there, a command refuses it in words, in bounded time and memory; and a restore writes nothing outside its target, and leaves nothing that could be started.
 */
describePostgres("a hostile repository", {}, (binaries) => {
  let hostile: HostileSite;
  beforeAll(async () => void (hostile = await HostileSite.open(binaries)));
  afterAll(async () => hostile[Symbol.asyncDispose]());

  describe("whose manifest", () => {
    const id = (n: number): string => `2026${String(1 + (n % 12)).padStart(2, "0")}01T${String(Math.floor(n / 12)).padStart(6, "0")}Z-full`;
    const CASES: Readonly<Record<string, { manifest: Forgery["manifest"]; says: RegExp }>> = {
      "needs 2^40 segments of WAL": {
        manifest: (m) => ({ wal: { ...m.wal, first: "000000010000000000000000", last: "00000001FFFFFFFF00000FFF" } }),
        says: /says that it needs the WAL/,
      },
      "needs WAL that ends before it begins": { manifest: (m) => ({ wal: { ...m.wal, first: m.wal.last, last: "000000010000000000000001" } }), says: /says that it needs the WAL/ },
      "has a root of 10^9 frames": { manifest: (m) => ({ root: { ...m.root, frames: 1e9 } }), says: /has no frames/ },
      "has blocks of no bytes": { manifest: (m) => ({ postgres: { ...m.postgres, blockSize: 0 } }), says: /blockSize/ },
      "has WAL segments of 2^50 bytes": { manifest: (m) => ({ postgres: { ...m.postgres, walSegmentBytes: 2 ** 50 } }), says: /walSegmentBytes/ },
      "ended at no time": { manifest: (m) => ({ stop: { ...m.stop, at: "tomorrow" } }), says: /stop.at/ },
      "names itself as its ancestor": { manifest: (m) => ({ ancestors: [...m.ancestors, { id: FORGED_ID, sha256: "0".repeat(64) }] }), says: /ancestor twice, or itself/ },
      "names an ancestor again and again": { manifest: (m) => ({ ancestors: Array.from({ length: 9000 }, () => m.ancestors[0]) }), says: /ancestor twice, or itself/ },
      "has 100 000 ancestors": {
        manifest: () => ({ ancestors: Array.from({ length: 100_000 }, (_, n) => ({ id: id(n), sha256: "0".repeat(64) })) }),
        says: /ancestors|bytes long/,
      },
      "has an ancestor that was another": { manifest: (m) => ({ ancestors: [{ ...m.ancestors[0], sha256: "0".repeat(64) }] }), says: /is not the one that/ },
      "has 40 MB": { manifest: () => ({ remark: "x".repeat(40 << 20) }), says: /bytes long/ },
    };

    test.each(Object.entries(CASES))("%s", async (_, { manifest, says }) => {
      await using planted = await hostile.copy();
      await forgeBackup(planted.repository, planted.base, manifest === undefined ? {} : { manifest });
      await Promise.all([planted.expectRefused(says, "--backup", FORGED_ID), planted.expectFound(says)]);
      expect((await planted.run("info", "--json")).exitCode).toBe(0);
    });

    test("is an old one under a new name", async () => {
      await using planted = await hostile.copy();
      const old = await planted.repository.store.read(keys.manifest("db", planted.base.manifest.id));
      await leave(planted.repository, keys.manifest("db", FORGED_ID), old);
      await Promise.all([planted.expectRefused(/was written as/, "--backup", FORGED_ID), planted.expectFound(/was written as/)]);
    });
  });

  describe("with a bomb in it:", () => {
    const ZEROS = Buffer.alloc(1 << 20);
    const frames = async (writer: ContainerWriter, count: number, plain: Buffer = ZEROS): Promise<void> => {
      const frame = await writer.seal(plain, 0, 3);
      for (let index = 0; index < count; index++) await writer.append(index === 0 ? frame : { ...frame, index, stored: Buffer.from(frame.stored) });
    };

    test("a frame that says it is small", async () => {
      await using planted = await hostile.copy();
      const bomb = zstdCompressSync(Buffer.alloc(512 << 20));
      const dataContainer = async (writer: ContainerWriter): Promise<void> => {
        const sealed = await writer.seal(Buffer.alloc(8192), 0, 3);
        await writer.append({ ...sealed, stored: Buffer.from(sealed.stored) });
      };
      expect(() => openFrame(...bombOf(bomb))).toThrow(/another length than declared/);
      expect(() => openFrame(...bombOf(sayingItHolds(1000, bomb)))).toThrow(/does not decompress/);
      await forgeBackup(planted.repository, planted.base, { dataContainer });
      expect((await planted.run("verify", "--json")).exitCode).toBe(1);
    });

    test.each([
      ["more frames than a pack has", 5000, ZEROS],
      ["very many frames of a byte", (1 << 17) - 1, Buffer.alloc(1)],
      ["too many frames of a byte", (1 << 17) + 1, Buffer.alloc(1)],
    ])("%s", async (_, count, plain) => {
      await using planted = await hostile.copy();
      await forgeBackup(planted.repository, planted.base, { dataContainer: (writer) => frames(writer, count, plain) });
      await planted.expectFound(/20991231T235959Z-incr\/data/);
    });

    test("a map with a root that is larger than any", async () => {
      await using planted = await hostile.copy();
      const mapContainer = async (writer: ContainerWriter): Promise<Manifest["root"]> => {
        await frames(writer, 30, Buffer.alloc(4 << 20, "\n"));
        return { pack: 0, frame: 0, frames: 30 };
      };
      await forgeBackup(planted.repository, planted.base, { mapContainer });
      await Promise.all([planted.expectRefused(/declares?/, "--backup", FORGED_ID), planted.expectFound(/declares?/)]);
    });

    test.each(["wal", "part", "history", "summary"] as const)("%s", async (kind) => {
      await using planted = await hostile.copy();
      const { manifest } = planted.base;
      const system = manifest.postgres.systemIdentifier;
      const [name, suffix] = [manifest.wal.first, `-${"0".repeat(32)}`];
      const bound = {
        wal: keys.walSegment("db", system, name),
        part: keys.walPart("db", system, name, 0, 100),
        history: keys.history("db", system, "00000002"),
        summary: keys.walSummary("db", system, name, "0".repeat(32)),
      }[kind];
      if (kind === "part")
        for (const object of await planted.repository.store.listNames(keys.walFolder("db", system, name)))
          if (object.startsWith(name)) await planted.repository.store.remove([keys.walFolder("db", system, name) + object]);
      const objectKey = kind === "summary" ? bound : `${bound}${kind === "part" ? "-00000000" : suffix}`;
      const place = { source: "db", kind, objectKey, boundKey: bound };
      await forgeContainer(planted.repository, place, (writer) => frames(writer, 1000));
      if (kind === "summary")
        await forgeContainer(
          planted.repository,
          { ...place, kind: "wal", objectKey: `${keys.walSegment("db", system, name)}${suffix}`, boundKey: keys.walSegment("db", system, name) },
          ZEROS,
        );
      await planted.expectFound(kind === "wal" ? /its ledger is not/ : /declares?/);
      expect([0, 1]).toContain((await planted.run("info", "--json")).exitCode);
      const wanted = kind === "history" ? "00000002.history" : name;
      const got = await planted.run("wal", "get", "db", wanted, join(planted.around, "got"));
      expect(got.exitCode, got.stderr).toBe(126);
      expect(existsSync(join(planted.around, "got"))).toBe(false);
    });
  });

  /** Bytes under names, by somebody who has no key: some are read, none is believed, and the true backup can be restored. */
  test("a thief's names: far away, not ours, very many, very long", async () => {
    await using planted = await hostile.copy();
    const { repository, base } = planted;
    const system = base.manifest.postgres.systemIdentifier;
    const writer = (await repository.store.listNames(keys.evidence()))[0]?.slice(0, -1) ?? "";
    await leave(repository, `${keys.walSegment("db", system, "00000001FFFFFFFF00000FFF")}-${"0".repeat(32)}`);
    await leave(repository, keys.evidenceEntry(writer, 999_999_999_999));
    await leave(repository, `${keys.writer("x")}y.json`);
    await leave(repository, `${keys.hosts(repository.keyRing.current.keyId)}z.json`);
    await leave(repository, keys.manifest("db", "20981231T235959Z-full"), Buffer.alloc(64 << 20, "x"));
    await leave(
      repository,
      `keys/${repository.keyRing.current.keyId}/aaa-1.age`,
      `age-encryption.org/v1\n-> scrypt ${"A".repeat(22)} 22\n${"A".repeat(43)}\n--- ${"A".repeat(43)}\n`,
    );
    for (let n = 0; n < 2000; n++) await leave(repository, `${keys.manifests("db")}${n.toString(36)}`, "x");
    await planted.expectFound(/and so on for/);
    expect((await planted.run("info", "--json")).exitCode).toBe(0);
    const restored = await planted.restore("--backup", base.manifest.id);
    expect(restored.exitCode, restored.stderr).toBe(0);
  });
});

/** A frame as its writer can make it that says that it has 1000 bytes, and decompresses to whatever this is. */
/** Of a zstd frame, whose header says in four bytes how much is in it. */
function sayingItHolds(bytes: number, bomb: Buffer): Buffer {
  const lying = Buffer.from(bomb);
  lying.writeUInt32LE(bytes, 6);
  return lying;
}

function bombOf(bytes: Buffer): [Uint8Array, FrameFacts, FrameSecret] {
  const secret = { key: Buffer.alloc(32), index: 0, binding: { repositoryId: "", source: "", object: "" } };
  const frame = encryptFrame({ bytes, plainLength: 1000, codec: 1 }, secret);
  return [frame.stored, frame, secret];
}
