import { expect, test } from "vitest";
import { partsToJoin } from "../../../src/domain/part-levels.ts";
import type { LeveledPart } from "../../../src/domain/part-levels.ts";

/** What a segment of `count` parts of `bytes` each comes to, joined as they come. */
function play(count: number, bytes: number): { parts: LeveledPart[]; most: number; written: number } {
  let [parts, most, written]: [LeveledPart[], number, number] = [[], 0, 0];
  for (let i = 0; i < count; i++) {
    parts.push({ object: `${i}`, from: i * bytes, to: (i + 1) * bytes, level: 0 });
    for (let joined = partsToJoin(parts); joined.length > 0; joined = partsToJoin(parts)) {
      const [first, last] = [joined[0], joined.at(-1)];
      if (first === undefined || last === undefined) throw new Error("nothing to join");
      parts = [...parts.slice(0, -joined.length), { object: `${i}+`, from: first.from, to: last.to, level: first.level + 1 }];
      written += last.to - first.from;
    }
    most = Math.max(most, parts.length);
  }
  return { parts, most, written };
}

test("a segment of many thousand parts is some dozens of objects, and is written again a few times", () => {
  const { parts, most, written } = play(40_000, 400);
  expect(most).toBeLessThanOrEqual(64);
  expect(written / (40_000 * 400)).toBeLessThan(4);
  // Nothing is left out, nothing twice, and all is in order.
  expect(parts.reduce((at, part) => (part.from === at ? part.to : Number.NaN), 0)).toBe(40_000 * 400);
});

test("few parts stay as they are", () => {
  expect(play(15, 400).parts).toHaveLength(15);
});
