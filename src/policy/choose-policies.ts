import { join } from "node:path";
import { policiesFor } from "../domain/policy-selection.ts";
import type { PolicySelector, SelectedSource } from "../domain/policy-selection.ts";
import { policyNames } from "./inheritance.ts";
import { DEFAULT_DATA_CLASS, DEFAULT_TIER } from "./inventory-schema.ts";
import type { Failed, LoadedPolicy } from "./load-policy.ts";
import { readPolicy } from "./load-policy.ts";
import type { Problem } from "./problem.ts";
import { mapAt, policyProblems, sourcePolicies } from "./references.ts";
import { readYamlFile } from "./yaml-file.ts";
import type { YamlFile } from "./yaml-file.ts";

export interface ChosenPolicies {
  /** The policy of each source that has one, by the source's name. */
  readonly bySource: ReadonlyMap<string, LoadedPolicy>;
  readonly problems: readonly Problem[];
}

/** The policies that sources name, and those that apply to the sources that name none. Files that are neither are not looked into. */
export async function choosePolicies(inventory: YamlFile, folder: string): Promise<ChosenPolicies> {
  const available = await policyNames(folder);
  const named = sourcePolicies(inventory);
  const nameless = Object.keys(mapAt(inventory.value, ["sources"])).filter((source) => !Object.hasOwn(mapAt(inventory.value, ["sources", source]), "policy"));
  const problems: Problem[] = policyProblems(inventory, named, available);
  const read = new Map<string, LoadedPolicy | Failed>();
  const load = async (name: string): Promise<LoadedPolicy | null> => {
    const known = read.get(name) ?? (await readPolicy(join(folder, `${name}.yaml`), inventory));
    if (!read.has(name) && !known.ok) problems.push(...known.problems);
    read.set(name, known);
    return known.ok ? known : null;
  };
  const bySource = new Map<string, LoadedPolicy>();
  for (const { source, policy } of named) {
    const loaded = available.includes(policy) ? await load(policy) : null;
    if (loaded !== null) bySource.set(source, loaded);
  }
  const selectors = new Map<string, PolicySelector>();
  for (const name of nameless.length === 0 ? [] : available) {
    const loaded = (await saysWhom(join(folder, `${name}.yaml`))) ? await load(name) : null;
    const selector = loaded?.policy.appliesTo ?? null;
    if (selector !== null) selectors.set(name, selector);
  }
  for (const source of nameless) {
    const applying = policiesFor(selected(inventory, source), selectors);
    const [name, ...others] = applying;
    const loaded = name === undefined || others.length > 0 ? null : await load(name);
    if (loaded === null) problems.push(undecided(inventory, source, applying, available));
    else bySource.set(source, loaded);
  }
  return { bySource, problems: differing(problems) };
}

/** A policy that says nothing of whom it applies to may be half of one, for others to extend. */
async function saysWhom(file: string): Promise<boolean> {
  const read = await readYamlFile(file);
  return read.ok && Object.hasOwn(mapAt(read.yaml.value, []), "appliesTo");
}

function selected(inventory: YamlFile, source: string): SelectedSource {
  const { tier, dataClass } = mapAt(inventory.value, ["sources", source]);
  const labels = Object.entries(mapAt(inventory.value, ["sources", source, "labels"])).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return {
    labels: Object.fromEntries(labels),
    tier: typeof tier === "string" ? tier : DEFAULT_TIER,
    dataClass: typeof dataClass === "string" ? dataClass : DEFAULT_DATA_CLASS,
  };
}

function undecided(inventory: YamlFile, source: string, applying: readonly string[], available: readonly string[]): Problem {
  const { file, line, column } = inventory.findKey(["sources", source]);
  const at = { file, line, column };
  if (applying.length > 0) return { ...at, message: `${applying.length} policies apply to '${source}': ${applying.join(", ")}`, hint: `name one of them: policy: ${applying[0]}` };
  const known = available.length === 0 ? "" : ` (${available.join(", ")})`;
  return { ...at, message: `'${source}' has no policy, and none applies to it`, hint: `name one${known}, or write appliesTo into one` };
}

/** Two policies that extend a third find the same in it. */
function differing(problems: readonly Problem[]): Problem[] {
  const key = ({ file, line, column, message }: Problem): string => `${file}:${line}:${column} ${message}`;
  return [...new Map(problems.map((problem) => [key(problem), problem])).values()];
}
