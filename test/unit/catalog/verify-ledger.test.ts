import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { knowPopulation, noteVerified, oldestPendingResult, pendingResults, readLedger, summariseLedger } from "../../../src/catalog/verify-ledger.ts";
import type { StoredObject } from "../../../src/domain/verify-ledger.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";

const PLACE = { source: "db", repository: "onsite" };
const BACKUP = "20260101T000000Z-full";
const pack = (number: number, bytes = 100): StoredObject => ({ unit: BACKUP, kind: "data", number, bytes });
const segment = (number: number): StoredObject => ({ unit: "00000001", kind: "wal", number, bytes: 16 });
const day = (n: number): Date => new Date(Date.UTC(2026, 0, n));

describe("the ledger of verification", () => {
  let scratch: ScratchFolder;
  let catalog: Catalog;

  beforeEach(async () => {
    scratch = await openScratchFolder();
    catalog = Catalog.open(join(scratch.path, "catalog.db"));
  });
  afterEach(async () => {
    catalog[Symbol.dispose]();
    await scratch[Symbol.asyncDispose]();
  });

  test("knows what is there before anything was verified, and forgets what is gone", () => {
    knowPopulation(catalog, PLACE, [pack(0), pack(1), segment(5)]);
    noteVerified(catalog, PLACE, [{ ...pack(0), tier: "decoded", ok: true }], day(1));
    knowPopulation(catalog, PLACE, [pack(0), segment(5), segment(6)]);
    expect(readLedger(catalog, PLACE).map(({ unit, number, at }) => [unit, number, at])).toEqual([
      ["00000001", 5, null],
      ["00000001", 6, null],
      [BACKUP, 0, day(1).toISOString()],
    ]);
    expect(summariseLedger(catalog, "db")).toEqual([
      {
        repository: "onsite",
        objects: 3,
        bytes: 132,
        verifiedObjects: 1,
        verifiedBytes: 100,
        damagedObjects: 0,
        oldestVerifiedAt: null,
        walSegments: 2,
        verifiedWalSegments: 0,
      },
    ]);
    expect(readLedger(catalog, { ...PLACE, repository: "cloud" })).toEqual([]);
  });

  test("keeps damage until somebody looked as deep again, and takes no look at names for a verification", () => {
    const look = (n: number, tier: "present" | "stored" | "decoded", ok: boolean): void => noteVerified(catalog, PLACE, [{ ...pack(0), tier, ok }], day(n));
    look(1, "present", true);
    expect(readLedger(catalog, PLACE)).toEqual([]);
    look(2, "decoded", false);
    look(3, "stored", true);
    expect(summariseLedger(catalog, "db")[0]?.damagedObjects).toBe(1);
    look(4, "decoded", true);
    expect(readLedger(catalog, PLACE)[0]).toMatchObject({ ok: true, at: day(4).toISOString() });
  });

  test("is made again from the evidence, piece by piece", () => {
    const pieces = [pack(0), pack(1), pack(2), segment(7)];
    noteVerified(
      catalog,
      PLACE,
      pieces.map((piece) => ({ ...piece, tier: "decoded", ok: piece.number !== 1 })),
      day(1),
    );
    expect(oldestPendingResult(catalog)).toBe(day(1).toISOString());
    const { stretches } = pendingResults(catalog, null, 100);
    expect(stretches.map(({ unit, ok, ranges }) => [unit, ok, ranges])).toEqual([
      ["00000001", true, [[7, 7]]],
      [
        BACKUP,
        true,
        [
          [0, 0],
          [2, 2],
        ],
      ],
      [BACKUP, false, [[1, 1]]],
    ]);
    const entry = { writer: "a".repeat(64), sequence: 1, at: day(2).toISOString(), kind: "verify.ledger", facts: { ledger: stretches } };
    applyEntry(catalog, entry);
    expect(oldestPendingResult(catalog)).toBeNull();
    using rebuilt = Catalog.open(join(scratch.path, "rebuilt.db"));
    for (let twice = 0; twice < 2; twice++) applyEntry(rebuilt, entry);
    const state = (from: Catalog): unknown => readLedger(from, PLACE).map(({ unit, kind, number, bytes, tier, ok, at }) => [unit, kind, number, bytes, tier, ok, at]);
    expect(summariseLedger(rebuilt, "db")).toEqual(summariseLedger(catalog, "db"));
    expect(state(rebuilt)).toEqual(state(catalog));
  });

  test("goes into the evidence in portions, each result once", () => {
    noteVerified(
      catalog,
      PLACE,
      [0, 1, 2].map((number) => ({ ...pack(number), tier: "decoded", ok: true })),
      day(1),
    );
    let pieces = 0;
    for (let sequence = 1; ; sequence++) {
      const pending = pendingResults(catalog, "db", 2);
      pieces += pending.pieces;
      if (pending.pieces === 0) break;
      applyEntry(catalog, { writer: "a".repeat(64), sequence, at: day(2).toISOString(), kind: "verify.ledger", facts: { ledger: pending.stretches } });
    }
    expect(pieces).toBe(3);
  });
});
