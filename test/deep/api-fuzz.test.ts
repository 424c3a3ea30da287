import { expect, test } from "vitest";
import { fuzzApi } from "../support/api-fuzz.ts";

test("10,000 requests made from the description end in no error of ours, and tell no token", { timeout: 600_000 }, async () => {
  const { statuses } = await fuzzApi(10_000);
  expect([...statuses.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(10_000);
  expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
  expect(statuses.get(202)).toBeGreaterThan(10);
});
