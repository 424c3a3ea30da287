import { expect, test } from "vitest";
import { loadInventory } from "../../../src/policy/load.ts";
import type { Policy } from "../../../src/policy/types.ts";
import { configurationFolder, INVENTORY, POLICY } from "./configuration-folder.ts";

async function load(windows: string): Promise<Policy["windows"] | string[] | undefined> {
  const policy = POLICY.replace(/^windows:.*$/m, () => `windows: ${windows}`);
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY, "policies/nightly.yaml": policy });
  const loaded = await loadInventory(folder.inventory);
  return loaded.ok
    ? loaded.inventory.sources.get("orders")?.policy.windows
    : loaded.problems.map(({ line, column, message, hint }) => `${line}:${column} ${message} (${hint ?? ""})`);
}

test("windows and blackouts come every day, every week, every first Sunday, or once", async () => {
  const heavy = 'heavy: [{ daily: "02:00-04:00" }, { monthly: "first Sunday 06:00-10:00" }]';
  const blackout = 'blackout: [{ from: 2026-12-24T00:00+01:00, to: 2026-12-27T00:00Z, reason: peak }, { weekly: "Monday 22:00-02:00" }]';
  expect(await load(`{ ${heavy}, ${blackout} }`)).toEqual({
    heavy: ["02:00-04:00", "first Sunday 06:00-10:00"],
    blackout: [
      { window: "2026-12-23T23:00:00Z/2026-12-27T00:00:00Z", reason: "peak" },
      { window: "Monday 22:00-02:00", reason: null },
    ],
  });
  expect(await load("{}")).toEqual({ heavy: [], blackout: [] });
});

const WINDOW = '{ daily: "02:00-04:00" }, { weekly: "Sunday 04:00-06:00" }, { monthly: "first Sunday 06:00-10:00" } or { from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z }';

test.each([
  ['{ heavy: [{ daily: "02:00-04:00", weekly: "Sunday 04:00-06:00" }] }', `19:20 heavy says more than once when (${WINDOW})`],
  ["{ heavy: [{}] }", `19:20 heavy must say when (${WINDOW})`],
  ['{ heavy: [{ weekly: "02:00-04:00" }] }', '19:30 weekly must be a day of the week and two times of day ("Sunday 04:00-06:00", in quotes, and in UTC unless a zone is named)'],
  [
    '{ heavy: [{ weekly: "sunday 02:00-04:00" }] }',
    '19:30 weekly must be a day of the week and two times of day ("Sunday 04:00-06:00", in quotes, and in UTC unless a zone is named)',
  ],
  [
    '{ heavy: [{ weekly: "Sunday 02:00-02:00" }] }',
    '19:30 weekly must be a day of the week and two times of day ("Sunday 04:00-06:00", in quotes, and in UTC unless a zone is named)',
  ],
  [
    '{ heavy: [{ monthly: "Sunday 02:00-04:00" }] }',
    '19:31 monthly must be the first of a day of the week and two times of day ("first Sunday 06:00-10:00", in quotes, and in UTC unless a zone is named)',
  ],
  ["{ blackout: [{ from: 2026-12-27T00:00Z, to: 2026-12-24T00:00Z }] }", `19:54 to must be later than from (${WINDOW})`],
  ["{ blackout: [{ from: 2026-12-27T00:00Z, reason: peak }] }", `19:31 from needs an end: to (${WINDOW})`],
  ["{ blackout: [{ to: 2026-12-27T00:00Z }] }", `19:29 to needs a beginning: from (${WINDOW})`],
  ["{ blackout: [{ from: 2026-12-24T00:00, to: 2026-12-27T00:00Z }] }", "19:31 from must be a time with a zone (such as 2026-12-24T00:00Z)"],
  ["{ blackout: { daily: 02:00-04:00 } }", "19:22 blackout must be a list ([{ from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z, reason: peak }])"],
])("windows: %s is refused with its place and what would be right", async (windows, problem) => {
  expect(await load(windows)).toEqual([problem]);
});
