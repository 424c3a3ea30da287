import { expect, test } from "vitest";
import { fuzzApi } from "../../support/api-fuzz.ts";

test("300 requests made from the description, whole and hostile, end in no error of ours", async () => {
  const { statuses } = await fuzzApi(300);
  expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
  // It reaches what is behind the checks, too.
  expect(statuses.get(200)).toBeGreaterThan(10);
  expect(statuses.get(400)).toBeGreaterThan(50);
});
