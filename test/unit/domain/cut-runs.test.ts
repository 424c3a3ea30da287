import { expect, test } from "vitest";
import { cutRuns, placeRuns, RunBuilder } from "../../../src/domain/file-map.ts";
import type { BlockRun } from "../../../src/domain/file-map.ts";
import { Random } from "../../support/random.ts";

const random = new Random(20_261_128);

/** As a file of many backups has them: zeros, long runs of one extent, single blocks of others. */
function someRuns(): BlockRun[] {
  return Array.from({ length: random.integer(0, 40) }, () => {
    const blocks = random.chance(0.5) ? 1 : random.integer(1, 300);
    return { blocks, at: random.chance(0.2) ? null : { backup: `b${random.integer(0, 2)}`, pack: random.integer(0, 3), frame: random.integer(0, 9), block: random.integer(0, 9) } };
  });
}

test("runs that are cut are the same blocks in the same order, so many together", () => {
  for (let i = 0; i < 300; i++) {
    const [runs, most] = [someRuns(), random.integer(1, 200)];
    const stretches = [...cutRuns(placeRuns(runs), most)];
    const sizes = stretches.map((stretch) => stretch.reduce((sum, run) => sum + run.blocks, 0));
    expect(sizes.slice(0, -1).every((size) => size === most)).toBe(true);
    expect(sizes.at(-1) ?? 1).toBeGreaterThan(0);
    expect(sizes.at(-1) ?? 1).toBeLessThanOrEqual(most);
    let at = 0;
    const [together, whole] = [new RunBuilder(), new RunBuilder()];
    for (const { fileBlock, ...run } of stretches.flat()) {
      expect(fileBlock).toBe(at);
      at += run.blocks;
      together.add(run);
    }
    for (const run of runs) whole.add(run);
    expect(together.finish()).toEqual(whole.finish());
  }
});
