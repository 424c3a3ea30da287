import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockSet } from "../../src/domain/block-set.ts";
import { lsn } from "../../src/domain/lsn.ts";
import { NO_LIMIT, WalChanges } from "../../src/domain/wal-changes.ts";
import { decodeSummary, encodeSummary } from "../../src/domain/wal-summary-encoding.ts";
import { SummaryChain } from "../../src/domain/wal-summary.ts";
import type { WalSummary } from "../../src/domain/wal-summary.ts";

/** Few relations and low blocks, so that what is done meets what was done before; and blocks at the edges of what there can be. */
const tablespace = fc.constantFrom(1663, 16400);
const database = fc.constantFrom(1, 5, 0xffffffff);
const relation = fc.constantFrom(1259, 16384, 0xfffffff0);
const fork = fc.constantFrom(0, 3);
const block = fc.oneof({ weight: 8, arbitrary: fc.nat({ max: 40 }) }, fc.constantFrom(65_535, 65_536, 131_072, 0xfffffffe));

type Step =
  | { kind: "mark"; at: [number, number, number, number]; block: number }
  | { kind: "cut"; at: [number, number, number, number]; block: number }
  | { kind: "replace"; tablespace: number; database: number };

const place = fc.tuple(tablespace, database, relation, fork);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("mark" as const), at: place, block }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("cut" as const), at: place, block }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("replace" as const), tablespace, database }) },
);
const steps = fc.array(step, { maxLength: 60 });

function changesOf(list: readonly Step[]): WalChanges {
  const changes = new WalChanges();
  for (const one of list) {
    if (one.kind === "mark") changes.mark(...one.at, one.block);
    else if (one.kind === "cut") changes.cut(...one.at, one.block);
    else changes.replaceDatabase(one.tablespace, one.database);
  }
  return changes;
}

/** Whether a step means that the block must be read. */
function touches(one: Step, at: readonly [number, number, number, number], wanted: number): boolean {
  if (one.kind === "replace") return one.tablespace === at[0] && one.database === at[1];
  return one.at.every((part, i) => part === at[i]) && (one.kind === "mark" ? one.block === wanted : wanted >= one.block);
}

function isChanged(changes: WalChanges, at: readonly [number, number, number, number], wanted: number): boolean {
  const found = changes.find(...at);
  return changes.isReplaced(at[0], at[1]) || (found !== null && (wanted >= found.limitBlock || found.blocks.has(wanted)));
}

function summaryOf(list: readonly Step[], after = 1, first = 2, last = 3): WalSummary {
  return { after: lsn(BigInt(after)), first: lsn(BigInt(first)), last: lsn(BigInt(last)), changes: changesOf(list) };
}

const encoded = (changes: WalChanges): Uint8Array => encodeSummary({ ...summaryOf([]), changes });
const joined = (...all: readonly WalChanges[]): WalChanges => {
  const sum = new WalChanges();
  for (const changes of all) sum.add(changes);
  return sum;
};

test("a set of blocks is a set, with its runs ascending and apart", () => {
  const operation = fc.oneof(
    { weight: 6, arbitrary: block.map((value) => ({ add: value })) },
    block.map((value) => ({ cut: value })),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const [ours, model] = [new BlockSet(), new Set<number>()];
      for (const one of operations) {
        if ("add" in one) {
          ours.add(one.add);
          model.add(one.add);
        } else {
          ours.removeFrom(one.cut);
          for (const value of model) if (value >= one.cut) model.delete(value);
        }
      }
      const expected = [...model].toSorted((a, b) => a - b);
      expect([...ours.toArray()]).toEqual(expected);
      expect(ours.size).toBe(expected.length);
      const runs = [...ours.runs()];
      expect(runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i))).toEqual(expected);
      for (const [i, run] of runs.entries()) if (i > 0) expect(run.first).toBeGreaterThan((runs[i - 1]?.first ?? 0) + (runs[i - 1]?.count ?? 0));
      for (const value of [0, 7, 40, 65_535, 0xfffffffe]) expect(ours.has(value)).toBe(model.has(value));
    }),
    { numRuns: 500 },
  );
});

describe("what a stretch of WAL changed", () => {
  test("is exactly what its records name, cut or replace, whatever their order", () => {
    fc.assert(
      fc.property(steps, place, block, (list, at, wanted) => {
        expect(isChanged(changesOf(list), at, wanted)).toBe(list.some((one) => touches(one, at, wanted)));
      }),
      { numRuns: 2000 },
    );
  });

  test("is put together the same in whatever groups, and however often", () => {
    fc.assert(
      fc.property(steps, steps, steps, (a, b, c) => {
        const [one, two, three] = [changesOf(a), changesOf(b), changesOf(c)];
        const left = encoded(joined(joined(one, two), three));
        expect(left).toEqual(encoded(joined(one, joined(two, three))));
        expect(left).toEqual(encoded(changesOf([...a, ...b, ...c])));
        expect(left).toEqual(encoded(joined(three, one, two, one)));
      }),
      { numRuns: 500 },
    );
  });
});

describe("the stored form of a summary", () => {
  test("holds all of it, and is the only one", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const summary = summaryOf(list);
        const bytes = encodeSummary(summary);
        const back = decodeSummary(bytes);
        expect(back).not.toBeNull();
        if (back === null) return;
        expect({ ...back, changes: null }).toEqual({ ...summary, changes: null });
        expect(encodeSummary(back)).toEqual(bytes);
        expect(back.changes.databases()).toEqual(summary.changes.databases());
        expect(back.changes.forks().map((one) => ({ ...one, blocks: [...one.blocks.toArray()] }))).toEqual(
          summary.changes.forks().map((one) => ({ ...one, blocks: [...one.blocks.toArray()] })),
        );
      }),
      { numRuns: 500 },
    );
  });

  test("does not decode when anything is cut off, added or changed into another form", () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, where, flip) => {
        const bytes = encodeSummary(summaryOf(list));
        expect(decodeSummary(bytes.subarray(0, where % bytes.length))).toBeNull();
        expect(decodeSummary(Uint8Array.from([...bytes, flip]))).toBeNull();
        const changed = Uint8Array.from(bytes);
        changed[where % bytes.length] = (changed[where % bytes.length] ?? 0) ^ flip;
        const decoded = decodeSummary(changed);
        if (decoded !== null) expect(encodeSummary(decoded)).toEqual(changed);
      }),
      { numRuns: 2000 },
    );
  });

  test("is not read from anything else, and declares no more blocks than a segment can name", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeSummary(bytes)).toBeNull();
      }),
    );
    const one = encodeSummary(summaryOf([{ kind: "mark", at: [1663, 5, 16384, 0], block: 0 }]));
    // The last byte is the length of its only run, less one: as a longer number, a run of 2^31 blocks.
    expect(decodeSummary(Uint8Array.from([...one.subarray(0, -1), 0xff, 0xff, 0xff, 0xff, 0x07]))).toBeNull();
  });

  test("is small: a thousand scattered blocks take two bytes each, a thousand in a row a few in all", () => {
    const at = [1663, 5, 16384, 0] as const;
    const size = (list: readonly number[]): number => encodeSummary(summaryOf(list.map((number) => ({ kind: "mark", at: [...at], block: number })))).length;
    const [none, thousand] = [encodeSummary(summaryOf([])).length, Array.from({ length: 1000 }, (_, i) => i)];
    expect(size(thousand.map((i) => i * 100)) - none).toBeLessThan(2100);
    expect(size(thousand) - none).toBeLessThan(40);
  });
});

describe("a chain of summaries", () => {
  const piece = (after: number, first: number, last: number, ...list: readonly Step[]): WalSummary => summaryOf(list, after, first, last);
  const mark = (number: number): Step => ({ kind: "mark", at: [1663, 5, 16384, 0], block: number });

  test("takes what follows record by record, and nothing else", () => {
    const chain = new SummaryChain(lsn(100n));
    expect(chain.append(piece(100, 120, 200))).toBe(false);
    expect(chain.append(piece(90, 100, 200, mark(1)))).toBe(true);
    expect(chain.append(piece(210, 220, 300))).toBe(false);
    expect(chain.append(piece(190, 200, 300))).toBe(false);
    expect(chain.append(piece(200, 220, 300, mark(2)))).toBe(true);
    expect(chain.changes.find(1663, 5, 16384, 0)?.blocks.toArray()).toEqual(Uint32Array.from([1, 2]));
    expect(chain.reaches(lsn(300n))).toBe(true);
    expect(chain.reaches(lsn(301n))).toBe(false);
  });

  test("reaches nothing before its first summary", () => {
    expect(new SummaryChain(lsn(100n)).reaches(lsn(0n))).toBe(false);
    expect(new SummaryChain(lsn(100n)).changes.find(1663, 5, 16384, 0)).toBeNull();
  });

  test("a fork that was only named has no limit", () => {
    expect(changesOf([mark(3)]).find(1663, 5, 16384, 0)?.limitBlock).toBe(NO_LIMIT);
  });
});
