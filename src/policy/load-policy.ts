import { basename, resolve } from "node:path";
import { readLayers } from "./inheritance.ts";
import type { LayeredFile } from "./inheritance.ts";
import { policySchema } from "./policy-schema.ts";
import { sortProblems } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { policyNameProblems, unknownRepositories } from "./references.ts";
import { schemaProblems } from "./schema-problems.ts";
import type { Policy } from "./types.ts";
import type { YamlFile } from "./yaml-file.ts";

export type Failed = { readonly ok: false; readonly problems: Problem[] };

export interface LoadedPolicy {
  readonly ok: true;
  readonly policy: Policy;
  readonly yaml: LayeredFile;
}

/** One policy file by itself. Whether its repositories exist is known only together with an inventory. */
export async function loadPolicy(file: string): Promise<LoadedPolicy | Failed> {
  return readPolicy(resolve(file), null);
}

/** A policy that was put on record, read by the language of today. Null: it is no longer one. */
export function policyFromWritten(written: unknown): Policy | null {
  const parsed = policySchema.safeParse(written);
  return parsed.success ? parsed.data : null;
}

/** `inventory`: whose repositories it may name; null: any. */
export async function readPolicy(path: string, inventory: YamlFile | null): Promise<LoadedPolicy | Failed> {
  const read = await readLayers(path);
  if (!read.ok) return read;
  const { yaml } = read;
  const parsed = policySchema.safeParse(yaml.value);
  const problems = [
    ...yaml.problems,
    ...(parsed.success ? [] : schemaProblems(yaml, parsed.error.issues)),
    ...yaml.layers.flatMap((layer) => policyNameProblems(layer, basename(layer.file))),
    ...(inventory === null ? [] : unknownRepositories(yaml, inventory)),
  ];
  if (!parsed.success || problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  return { ok: true, policy: parsed.data, yaml };
}
