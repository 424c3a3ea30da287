import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inventoryEditorSchema, policyEditorSchema } from "../src/policy/editor-schema.ts";

/** `node scripts/editor-schemas.ts`: writes the JSON Schemas that editors read beside policies and inventories. A test says when they are out of date. */
const FOLDER = join(import.meta.dirname, "..", "policies", "schema");

await mkdir(FOLDER, { recursive: true });
for (const [name, schema] of [
  ["inventory", inventoryEditorSchema()],
  ["policy", policyEditorSchema()],
] as const)
  await writeFile(join(FOLDER, `${name}.schema.json`), `${JSON.stringify(schema, null, 2)}\n`);
