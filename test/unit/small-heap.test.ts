import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MODULE = join(import.meta.dirname, "../../src/small-heap.ts");

/** Goes through half a million small objects of which the last few thousand are in use, and says how large the space for new ones was in the end, in MiB. */
const PROGRAM = (act: string): string => `
import { getHeapSpaceStatistics } from "node:v8";
import { keepHeapSmall } from ${JSON.stringify(MODULE)};
const held = [];
for (let i = 0; i < 500_000; i++) {
  held[i % 20_000] = { path: "file-" + i, attributes: { mode: i, modified: String(i) } };
  if (i % 100 === 0) ${act};
}
console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size / 1048576);
`;

async function spaceAfter(act: string): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--max-semi-space-size=32", "--input-type=module", "--eval", PROGRAM(act)]);
  return Number(stdout);
}

test("the space for new objects stays small where it is kept so, and grows where it is not", async () => {
  expect(await spaceAfter("keepHeapSmall()")).toBeLessThanOrEqual(16);
  expect(await spaceAfter("0")).toBeGreaterThan(16);
});
