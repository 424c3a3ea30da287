import { Option } from "commander";
import type { Command } from "commander";
import { findInventory } from "../app.ts";
import type { LockRule } from "../domain/explain.ts";
import { HoldfastError } from "../errors.ts";
import { policyFindings } from "../policy/feasibility.ts";
import type { Objectives, PolicyFinding } from "../policy/feasibility.ts";
import { loadInventory, RPO_SECONDS, RTO_SECONDS } from "../policy/load.ts";
import { loadPolicy } from "../policy/load-policy.ts";
import type { LoadedInventory } from "../policy/load.ts";
import { configError } from "../policy/problem.ts";
import { DATA_CLASSES, TIERS } from "../policy/types.ts";
import type { DataClass, Policy, Tier } from "../policy/types.ts";
import { originsOf } from "../policy/inheritance.ts";
import type { LayeredFile, Origin } from "../policy/inheritance.ts";
import type { CommonOptions } from "./action.ts";

/** A policy under given objectives, and the sources that have both. */
export interface PolicySubject {
  readonly policy: Policy;
  readonly objectives: Objectives;
  /** Objectives that nobody named: a policy file alone has no source to take them from, so they are the strictest. */
  readonly assumedObjectives: readonly ("rto" | "rpo")[];
  /** Empty: one policy file by itself. */
  readonly sources: readonly string[];
  readonly findings: readonly Omit<PolicyFinding, "sources">[];
  /** Where each part is written; empty where the policy extends none. */
  readonly origins: readonly Origin[];
  /** Of the repositories that lock what is written; empty for a policy file by itself, which does not say where its repositories are. */
  readonly locks: ReadonlyMap<string, LockRule>;
}

export interface SubjectOptions extends CommonOptions {
  readonly tier?: Tier;
  readonly dataClass?: DataClass;
}

export function withSubject(command: Command): Command {
  return command
    .argument("[file]", "one policy file by itself (default: the policies of all sources in the inventory)")
    .addOption(new Option("--tier <tier>", "with a file: whose recovery time objective it must hold, if it names none (default: critical)").choices(TIERS))
    .addOption(new Option("--data-class <class>", "with a file: whose recovery point objective it must hold, if it names none (default: financial)").choices(DATA_CLASSES));
}

/** The policy of a file, or every policy of the inventory once for each pair of objectives that its sources have. */
export async function loadSubjects(file: string | undefined, options: SubjectOptions): Promise<PolicySubject[]> {
  if (file !== undefined) return [await subjectOfFile(file, options)];
  if (options.tier !== undefined || options.dataClass !== undefined)
    throw new HoldfastError("HF-USAGE", "--tier and --data-class go with a policy file", { hint: "the sources of an inventory have their own" });
  const inventory = findInventory(options.config);
  if (inventory === null) throw new HoldfastError("HF-CONFIG", "there is no inventory (holdfast.yaml)", { hint: "name it with --config, or name a policy file" });
  const loaded = await loadInventory(inventory);
  if (!loaded.ok) throw configError(loaded.problems);
  return subjectsOfInventory(loaded);
}

async function subjectOfFile(file: string, { tier, dataClass }: SubjectOptions): Promise<PolicySubject> {
  const loaded = await loadPolicy(file);
  if (!loaded.ok) throw configError(loaded.problems);
  const { policy, yaml } = loaded;
  const { rtoSeconds, rpoSeconds } = policy.objectives;
  const objectives = { rtoSeconds: rtoSeconds ?? RTO_SECONDS[tier ?? "critical"], rpoSeconds: rpoSeconds ?? RPO_SECONDS[dataClass ?? "financial"] };
  const assumedObjectives = [...(rtoSeconds === null && tier === undefined ? ["rto" as const] : []), ...(rpoSeconds === null && dataClass === undefined ? ["rpo" as const] : [])];
  return { ...subjectOf(policy, objectives, yaml), assumedObjectives };
}

function subjectsOfInventory({ inventory, policyFiles }: LoadedInventory): PolicySubject[] {
  const groups = Map.groupBy(inventory.sources.values(), ({ policy, objectives }) => `${policy.name} ${objectives.rtoSeconds} ${objectives.rpoSeconds}`);
  const locks = new Map(
    [...inventory.repositories].flatMap(([name, { s3 }]) => {
      const lock = s3?.objectLock ?? null;
      return lock === null ? [] : [[name, lock] as const];
    }),
  );
  return [...groups.values()].flatMap((sources) => {
    const [first] = sources;
    const yaml = policyFiles.get(first?.policy.name ?? "");
    return first === undefined || yaml === undefined ? [] : [{ ...subjectOf(first.policy, first.objectives, yaml), sources: sources.map(({ name }) => name), locks }];
  });
}

function subjectOf(policy: Policy, objectives: Objectives, yaml: LayeredFile): PolicySubject {
  return { policy, objectives, assumedObjectives: [], sources: [], findings: policyFindings(policy, objectives, yaml), origins: originsOf(yaml), locks: new Map() };
}
