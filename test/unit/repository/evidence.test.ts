import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EvidenceLog } from "../../../src/repository/evidence-log.ts";
import { readEvidence } from "../../../src/repository/evidence-reading.ts";
import type { EvidenceReading } from "../../../src/repository/evidence-reading.ts";
import { keys } from "../../../src/repository/layout.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { openLocalStore } from "../../../src/storage/local-store.ts";
import { putIfAbsent } from "../../../src/storage/object-store.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";

const at = (minute: number): Date => new Date(Date.UTC(2026, 0, 1, 12, minute));

describe("the evidence log", () => {
  let fixture: RepositoryFixture;
  let repository: WritableRepository;
  let log: EvidenceLog;

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    repository = await fixture.open();
    log = logOf(repository, "one");
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const logOf = (of: WritableRepository, name: string): EvidenceLog => new EvidenceLog(openLocalStore(join(fixture.folder, `../evidence-${name}`)), of.signer);

  /** Operations of so many entries each: entries, then a checkpoint. */
  async function operate(...lengths: number[]): Promise<void> {
    let minute = 0;
    for (const length of lengths) {
      for (let i = 0; i < length; i++) await log.append("run.started", at(minute++), { n: minute });
      await log.copyTo(repository);
    }
  }

  const entryKey = (sequence: number): string => keys.evidenceEntry(log.writer, sequence);
  const checkpointKey = (sequence: number): string => keys.checkpoint(log.writer, sequence);
  const objects = (reading: EvidenceReading): string[] => reading.damage.map(({ object }) => object);

  async function put(key: string, bytes: Buffer): Promise<void> {
    await fixture.store.remove([key]);
    await putIfAbsent(fixture.store, key, bytes);
  }

  test("reads back as it was written, in order, each entry naming the one before", async () => {
    await operate(2, 1, 3);
    const { entries, damage } = await readEvidence(repository);
    expect(damage).toEqual([]);
    expect(entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const [i, entry] of entries.entries()) expect(entry.previous).toBe(i === 0 ? null : entries[i - 1]?.sha256);
  });

  test("keeps the order of one writer also where its clock went back", async () => {
    for (const minute of [10, 20, 5, 6]) await log.append("run.started", at(minute), { minute });
    await log.copyTo(repository);
    expect((await readEvidence(repository)).entries.map(({ facts }) => facts["minute"])).toEqual([10, 20, 5, 6]);
  });

  test("shows an entry that was changed, and what was built on it", async () => {
    await operate(2, 2);
    const bytes = await fixture.store.read(entryKey(2));
    bytes[60] = (bytes[60] ?? 0) ^ 1;
    await put(entryKey(2), bytes);
    expect(objects(await readEvidence(repository))).toEqual([entryKey(2)]);
  });

  test("shows an entry in another's place", async () => {
    await operate(3);
    const [two, three] = [await fixture.store.read(entryKey(2)), await fixture.store.read(entryKey(3))];
    await put(entryKey(2), three);
    await put(entryKey(3), two);
    expect(objects(await readEvidence(repository))).toEqual(expect.arrayContaining([entryKey(2), entryKey(3)]));
  });

  test("shows an entry that its own writer wrote anew, with a signature that fits", async () => {
    await operate(2, 2);
    const another = new EvidenceLog(openLocalStore(join(fixture.folder, "../evidence-forged")), repository.signer);
    await another.append("run.started", at(0), { forged: true });
    await put(entryKey(1), await openLocalStore(join(fixture.folder, "../evidence-forged")).read(entryKey(1)));
    expect(objects(await readEvidence(repository))).toEqual([entryKey(2)]);
  });

  for (const [what, gone] of [
    ["the first entry", [1]],
    ["an entry in the middle", [3]],
    ["the last entry", [6]],
    ["all of the last operation but its checkpoint", [4, 5, 6]],
  ] as const)
    test(`shows that ${what} was taken away`, async () => {
      await operate(3, 3);
      await fixture.store.remove(gone.map(entryKey));
      expect(objects(await readEvidence(repository)).toSorted()).toEqual(expect.arrayContaining([entryKey(gone.at(-1) ?? 0)]));
    });

  test("shows that the end was cut off together with its checkpoint, as soon as anybody else has seen it", async () => {
    await operate(2, 2);
    const two = await fixture.open("two");
    const other = logOf(two, "two");
    await other.append("run.started", at(9), {});
    await other.copyTo(two);
    await fixture.store.remove([entryKey(3), entryKey(4), checkpointKey(4)]);
    expect(objects(await readEvidence(two))).toContain(entryKey(4));
  });

  test("shows a checkpoint that was taken out of the middle, or off the end", async () => {
    await operate(1, 1, 1);
    const bytes = await fixture.store.read(checkpointKey(2));
    await fixture.store.remove([checkpointKey(2)]);
    expect(objects(await readEvidence(repository))).toEqual([checkpointKey(2)]);
    await put(checkpointKey(2), bytes);
    expect((await readEvidence(repository)).damage).toEqual([]);
    await fixture.store.remove([checkpointKey(3)]);
    expect(objects(await readEvidence(repository))).toEqual([checkpointKey(3)]);
  });

  test("of one host written by several processes at once is one chain", async () => {
    const processes = Array.from({ length: 5 }, () => logOf(repository, "one"));
    await Promise.all(processes.map(async (process, i) => Promise.all([1, 2, 3].map(async (n) => process.append("run.started", at(i), { i, n })))));
    await log.copyTo(repository);
    const { entries, damage } = await readEvidence(repository);
    expect(damage).toEqual([]);
    expect(entries.map(({ sequence }) => sequence).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
  });

  test("is copied to a repository that was away for a while, whole and only once", async () => {
    await operate(2);
    await using late = await openRepositoryFixture();
    for (let i = 0; i < 3; i++) await log.append("run.started", at(10 + i), {});
    expect(await log.copyTo(repository)).toBe(3);
    expect(await log.copyTo(repository)).toBe(0);
    expect((await readEvidence(repository)).damage).toEqual([]);
    expect(await late.store.size(entryKey(1))).toBeNull();
  });

  test("whose host was set back does not hide what it wrote before: the two do not fit, and it says so", async () => {
    await operate(2);
    const setBack = logOf(repository, "set-back");
    for (let i = 0; i < 3; i++) await setBack.append("run.started", at(30 + i), { second: true });
    await expect(setBack.copyTo(repository)).rejects.toMatchObject({ code: "HF-DIVERGED" });
    expect((await readEvidence(repository)).damage).toEqual([]);
  });
});
