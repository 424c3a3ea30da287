import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addBytes } from "../../../../src/domain/lsn.ts";
import { getWal } from "../../../../src/operations/wal/get-wal.ts";
import type { GetOutcome } from "../../../../src/operations/wal/get-wal.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { SEGMENT_BYTES, SYSTEM_IDENTIFIER, WalBuilder } from "../../../support/wal-builder.ts";
import { historyFile, nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

/** PostgreSQL takes "does not exist" for the end of WAL: it promotes there, and what follows is lost without a word. */
describe("a file for restore_command", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  let wal: WalBuilder;
  let destination: string;

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    wal = new WalBuilder({ segments: 6 });
    for (let i = 1; i <= 6; i++) wal.fillToEnd(0);
    const folder = join(fixture.folder, "../delivered");
    await mkdir(folder);
    destination = join(folder, "RECOVERYXLOG");
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const get = async (file: string): Promise<GetOutcome> => getWal(archive.repository, { source: "db" }, file, destination);
  const delivered = async (): Promise<string[]> => readdir(join(destination, ".."));

  test("is the segment, byte for byte, and nothing else is left beside it", async () => {
    await archive.segments(wal, [1, 2]);
    expect(await get(nameOf(1, 2))).toBe("delivered");
    expect((await readFile(destination)).equals(wal.segment(2))).toBe(true);
    expect(await delivered()).toEqual(["RECOVERYXLOG"]);
  });

  test("does not exist only behind the end of what is there", async () => {
    await archive.segments(wal, [1, 2]);
    expect(await get(nameOf(1, 3))).toBe("does-not-exist");
    expect(await get(nameOf(2, 1))).toBe("does-not-exist");
    for (const probe of ["00000001.history", "00000002.history", `${nameOf(1, 2)}.partial`, `${nameOf(1, 2)}.00000028.backup`]) expect(await get(probe)).toBe("does-not-exist");
  });

  test("that is missing before others is an error and never the end", async () => {
    await archive.segments(wal, [1, 2, 4]);
    await expect(get(nameOf(1, 3))).rejects.toThrow(/a gap, not the end/);
    expect(await delivered()).toEqual([]);
  });

  test("that was reported durable and is not there is an error", async () => {
    await archive.segments(wal, [1, 2]);
    await archive.streamPosition({ timeline: 1, lsn: addBytes(startOf(3), 100), coveredUntil: null });
    await expect(get(nameOf(1, 3))).rejects.toThrow(/a gap, not the end/);
    expect(await get(nameOf(1, 4))).toBe("does-not-exist");
  });

  test("of the segment being written is filled with zeros to its size, as PostgreSQL demands", async () => {
    await archive.part(wal, 1, 0, 5000);
    await archive.part(wal, 1, 5000, 9000, { random: "00000001" });
    expect(await get(nameOf(1, 1))).toBe("delivered");
    const bytes = await readFile(destination);
    expect(bytes).toHaveLength(SEGMENT_BYTES);
    expect(bytes.subarray(0, 9000).equals(wal.segment(1).subarray(0, 9000))).toBe(true);
    expect(bytes.subarray(9000).every((byte) => byte === 0)).toBe(true);
  });

  test("of which a beginning is there, and then whole segments, is a gap: zeros would be taken for the end", async () => {
    await archive.part(wal, 1, 0, 5000);
    await archive.segments(wal, [2]);
    await expect(get(nameOf(1, 1))).rejects.toThrow(/a gap, not the end/);
  });

  test("of which a part between others is missing is a gap", async () => {
    await archive.part(wal, 1, 0, 5000);
    await archive.part(wal, 1, 8000, 9000);
    await expect(get(nameOf(1, 1))).rejects.toThrow(/a gap, not the end/);
  });

  test("of which less is there than was reported durable is a gap", async () => {
    await archive.part(wal, 1, 0, 5000);
    await archive.streamPosition({ timeline: 1, lsn: addBytes(startOf(1), 5001), coveredUntil: null });
    await expect(get(nameOf(1, 1))).rejects.toThrow(/a gap, not the end/);
  });

  test("of an old timeline's last segment ends where the fork was, though the new timeline goes on", async () => {
    await archive.part(wal, 2, 0, 5000);
    await archive.segments(wal, [1]);
    await archive.history(2, historyFile(1, addBytes(startOf(2), 5000)));
    await archive.segments(wal, [2, 3], { timeline: 2 });
    expect(await get(nameOf(1, 2))).toBe("delivered");
    expect(await get("00000002.history")).toBe("delivered");
    expect(await readFile(destination, "utf8")).toBe(historyFile(1, addBytes(startOf(2), 5000)));
  });

  test("that is the history of a timeline whose WAL is there must be there: else PostgreSQL begins that timeline again", async () => {
    await archive.segments(wal, [1]);
    await archive.segments(wal, [2], { timeline: 2 });
    await expect(get("00000002.history")).rejects.toThrow(/is missing and WAL of its timeline is there/);
    expect(await get("00000003.history")).toBe("does-not-exist");
  });

  test("of which two servers left different content is an error, whichever was asked for first", async () => {
    const other = new WalBuilder({ segments: 1, after: addBytes(startOf(1), -40) });
    other.fillToEnd(0);
    await archive.segments(wal, [1]);
    expect(await archive.segments(other, [1])).toEqual(["diverged"]);
    await expect(get(nameOf(1, 1))).rejects.toThrow(/two primaries/);
    expect(await archive.segments(wal, [1])).toEqual(["diverged"]);
  });

  test("from a repository where one bit of it is wrong is an error", async () => {
    await archive.segments(wal, [1]);
    const [name = ""] = await fixture.store.listNames(keys.walFolder("db", SYSTEM_IDENTIFIER, nameOf(1, 1)));
    const key = keys.walFolder("db", SYSTEM_IDENTIFIER, nameOf(1, 1)) + name;
    const bytes = await fixture.store.read(key);
    await fixture.store.remove([key]);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4;
    const writer = await fixture.store.create(key);
    await writer.write(bytes);
    await writer.commit();
    await expect(get(nameOf(1, 1))).rejects.toMatchObject({ code: "HF-DAMAGE" });
    expect(await delivered()).toEqual([]);
  });
});
