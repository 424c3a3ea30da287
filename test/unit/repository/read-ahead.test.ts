import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { readAhead } from "../../../src/repository/read-ahead.ts";

const MIB = 1 << 20;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test("pieces come in order, and so many are on their way before they are asked for", async () => {
  const asked: number[] = [];
  const read = readAhead(numbers(10), {
    ahead: 3,
    bytesOf: () => MIB,
    fetch: async (piece) => {
      asked.push(piece);
      return piece * 2;
    },
  });
  const came: [number, number, number][] = [];
  for await (const { piece, result } of read) came.push([piece, result, asked.length]);
  expect(came).toEqual(numbers(10).map((i) => [i, i * 2, Math.min(10, i + 4)]));
});

test("all readers together hold no more than there is room for, each has the piece it waits for, and room comes back from those who stop early", async () => {
  for (let round = 0; round < 3; round++) {
    let fetched = 0;
    const readers = numbers(4).map(() =>
      readAhead(numbers(100), {
        ahead: 50,
        bytesOf: () => 4 * MIB,
        fetch: async () => ++fetched,
      }),
    );
    for (const reader of readers) expect((await reader.next()).done).toBe(false);
    // One for each without asking for room, and 96 MiB ahead.
    expect(fetched).toBe(4 + 24);
    for (const reader of readers) await reader.return(undefined);
  }
});

test("a piece that cannot be read fails in its turn, and those behind it fail nobody", async () => {
  const read = readAhead(numbers(5), {
    ahead: 4,
    bytesOf: () => 1,
    fetch: async (piece) => {
      if (piece > 1) throw new Error(`no piece ${piece}`);
      return piece;
    },
  });
  const came: number[] = [];
  await expect(
    (async () => {
      for await (const { result } of read) {
        came.push(result);
        await turn();
      }
    })(),
  ).rejects.toThrow("no piece 2");
  expect(came).toEqual([0, 1]);
});
