import { expect, test } from "vitest";
import { loadInventory } from "../../../src/policy/load.ts";
import { configurationFolder, INVENTORY, POLICY } from "./configuration-folder.ts";

import { INVENTORIES } from "./broken-inventories.ts";
import { KINDS } from "./broken-kinds.ts";
import { POLICIES } from "./broken-policies.ts";

async function problemsOf(inventory: string, policy: string): Promise<string[]> {
  await using folder = await configurationFolder({ "holdfast.yaml": inventory, "policies/nightly.yaml": policy });
  const loaded = await loadInventory(folder.inventory);
  if (loaded.ok) return [];
  return loaded.problems.map(({ file, line, column, message, hint }) => `${file.slice(folder.path.length + 1)}:${line}:${column} ${message} (${hint ?? ""})`);
}

function edited(text: string, from: string, to: string): string {
  expect(text, "the text to replace is in the file").toContain(from);
  return text.replace(from, () => to);
}

test("the files that are broken below are whole before", async () => {
  expect(await problemsOf(INVENTORY, POLICY)).toEqual([]);
});

test.each([...INVENTORIES, ...KINDS])("in the inventory, %s is refused with its line", async (_, from, to, problem, hint) => {
  expect(await problemsOf(edited(INVENTORY, from, to), POLICY)).toContain(`holdfast.yaml:${problem} (${hint})`);
});

test.each(POLICIES)("in a policy, %s is refused with its line", async (_, from, to, problem, hint) => {
  expect(await problemsOf(INVENTORY, edited(POLICY, from, to))).toContain(`policies/nightly.yaml:${problem} (${hint})`);
});

test("there are at least a hundred broken files, each another", () => {
  const all = [...INVENTORIES, ...KINDS, ...POLICIES].map(([fact]) => fact);
  expect(new Set(all).size).toBe(all.length);
  expect(all.length).toBeGreaterThanOrEqual(100);
});
