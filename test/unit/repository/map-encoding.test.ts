import { expect, test } from "vitest";
import { digestsByPack } from "../../../src/repository/map-encoding.ts";

/** A backup of 50 TB. */
const PACKS = 400_000;

test("the digests of each of very many packs are found without looking through those of the others", () => {
  const digests = Array.from({ length: PACKS }, (_, i) => ({ dataPack: PACKS - 1 - i, pack: i, frame: i % 7 }));
  const started = performance.now();
  const byPack = digestsByPack({ digests });
  for (let pack = 0; pack < PACKS; pack++) if (byPack.get(pack)?.pack !== PACKS - 1 - pack) throw new Error(`pack ${pack} is not found`);
  // Looked through one by one it is 80 thousand million steps: minutes.
  expect(performance.now() - started).toBeLessThan(5000);
});

test("of two places for the digests of one pack the first counts, and of a pack without any there is none", () => {
  const first = { dataPack: 3, pack: 1, frame: 1 };
  const byPack = digestsByPack({ digests: [first, { dataPack: 3, pack: 2, frame: 2 }] });
  expect([byPack.get(3), byPack.get(4)]).toEqual([first, undefined]);
});
