import { describe, expect, test } from "vitest";
import { oldestFirst, toRanges, wholeUnit, withinBudget } from "../../../src/domain/verify-ledger.ts";
import type { LedgerLine } from "../../../src/domain/verify-ledger.ts";

const piece = (number: number, at: string | null, more: { ok?: boolean; tier?: "stored" | "decoded"; bytes?: number } = {}): LedgerLine => {
  const { ok = true, tier = "decoded", bytes = 10 } = more;
  const object = { unit: "20260101T000000Z-full", kind: "data" as const, number, bytes };
  return at === null ? { ...object, tier: null, ok: null, at: null } : { ...object, tier, ok, at };
};

describe("the ledger of verification", () => {
  test("has its turn for what was never verified first, then for what was longest ago", () => {
    const lines = [piece(0, "2026-01-03"), piece(1, "2026-01-01"), piece(10, null), piece(9, null)];
    expect(oldestFirst(lines).map(({ number }) => number)).toEqual([9, 10, 1, 0]);
  });

  test("fits into a budget what it can, and never stands still", () => {
    const lines = [piece(0, "2026-01-01"), piece(1, "2026-01-02"), piece(2, "2026-01-03")];
    expect(withinBudget(lines, 20).map(({ number }) => number)).toEqual([0, 1]);
    expect(withinBudget(lines, 1).map(({ number }) => number)).toEqual([0]);
    expect(withinBudget([], 20)).toEqual([]);
  });

  test("says that a backup is verified when every piece is: as of the oldest, as deep as the shallowest", () => {
    expect(wholeUnit([piece(0, "2026-01-02", { tier: "stored" }), piece(1, "2026-01-01")])).toEqual({ at: "2026-01-01", tier: "stored" });
    expect(wholeUnit([piece(0, "2026-01-02"), piece(1, null)])).toBeNull();
    expect(wholeUnit([piece(0, "2026-01-02"), piece(1, "2026-01-02", { ok: false })])).toBeNull();
    expect(wholeUnit([])).toBeNull();
  });

  test("is written in stretches", () => {
    expect(toRanges([0, 1, 2, 7, 9, 10])).toEqual([
      [0, 2],
      [7, 7],
      [9, 10],
    ]);
  });
});
