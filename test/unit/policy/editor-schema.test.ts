import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv } from "ajv";
import type { ValidateFunction } from "ajv";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { inventoryEditorSchema, policyEditorSchema } from "../../../src/policy/editor-schema.ts";
import { INVENTORIES } from "./broken-inventories.ts";
import { POLICIES } from "./broken-policies.ts";
import { INVENTORY, POLICY } from "./configuration-folder.ts";

const SHIPPED = join(import.meta.dirname, "../../../policies");
const ajv = new Ajv({ strict: false, logger: false });
const SCHEMAS = { inventory: ajv.compile(inventoryEditorSchema()), policy: ajv.compile(policyEditorSchema()) };

const text = async (file: string): Promise<string> => readFile(join(SHIPPED, file), "utf8");

function accepts(schema: ValidateFunction, yaml: string): boolean | "no yaml" {
  try {
    return schema(parse(yaml, { uniqueKeys: false }));
  } catch {
    return "no yaml";
  }
}

test.each([
  ["inventory", inventoryEditorSchema()],
  ["policy", policyEditorSchema()],
])("the schema of a %s in policies/schema is the one of this code (node scripts/editor-schemas.ts writes it)", async (name, schema) => {
  expect(JSON.parse(await text(`schema/${name}.schema.json`))).toEqual(schema);
});

test("each shipped file names its schema for editors, and is content with it", async () => {
  const policies = (await readdir(SHIPPED)).filter((name) => name.endsWith(".yaml"));
  expect(policies.length).toBeGreaterThanOrEqual(5);
  for (const name of policies) {
    const yaml = await text(name);
    expect(yaml.split("\n")[0]).toBe("# yaml-language-server: $schema=schema/policy.schema.json");
    expect([name, accepts(SCHEMAS.policy, yaml), SCHEMAS.policy.errors]).toEqual([name, true, null]);
  }
  const inventory = await text("example/holdfast.yaml");
  expect(inventory.split("\n")[0]).toBe("# yaml-language-server: $schema=../schema/inventory.schema.json");
  expect([accepts(SCHEMAS.inventory, inventory), SCHEMAS.inventory.errors]).toEqual([true, null]);
});

test.each([
  ["a retention of counts", POLICY.replace("12w", "{ daily: 7 }")],
  ["a log on schedule", POLICY.replace("schedule: stream", "schedule: { every: 15m }")],
  ["an extension that says nothing but its name", "version: 1\nname: a\nextends: b\n"],
  ["an extension that takes parts away", "version: 1\nname: a\nextends: b\ndrills: none\nbackups: { log: none, full: { recoveryTimeBudget: none } }\n"],
  [
    "all windows there are",
    POLICY.replace('[{ daily: "02:00-04:00" }]', '[{ weekly: "Sunday 04:00-06:00", zone: Europe/Berlin }, { from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z }]'),
  ],
])("%s is not underlined", (_, yaml) => {
  expect([accepts(SCHEMAS.policy, yaml), SCHEMAS.policy.errors]).toEqual([true, null]);
});

/** What an editor cannot tell: names that must be elsewhere, what stands beside what, values that only our own parsers know. */
const MOST_UNSEEN_SHARE = 0.4;

test("editors see most of what is wrong in the broken files, and refuse none of the whole ones", () => {
  expect([accepts(SCHEMAS.inventory, INVENTORY), accepts(SCHEMAS.policy, POLICY)]).toEqual([true, true]);
  const seen = [
    ...INVENTORIES.map(
      ([fact, from, to]) =>
        [
          fact,
          accepts(
            SCHEMAS.inventory,
            INVENTORY.replace(from, () => to),
          ),
        ] as const,
    ),
    ...POLICIES.map(
      ([fact, from, to]) =>
        [
          fact,
          accepts(
            SCHEMAS.policy,
            POLICY.replace(from, () => to),
          ),
        ] as const,
    ),
  ];
  const unseen = seen.flatMap(([fact, accepted]) => (accepted === true ? [fact] : []));
  expect(unseen.length / seen.length, unseen.join("; ")).toBeLessThan(MOST_UNSEEN_SHARE);
  for (const fact of ["a slip in a key", "a tier that is none", "a passphrase in the file", "a retention without a unit"]) expect(unseen).not.toContain(fact);
});
