import type { Command } from "commander";
import { acceptedVersion, newestVersion, sourceVersionNames } from "../catalog/policies.ts";
import type { PolicyVersion } from "../catalog/policies.ts";
import { policyDifference } from "../domain/policy-difference.ts";
import type { PolicyChange } from "../domain/policy-difference.ts";
import { HoldfastError } from "../errors.ts";
import { loadPolicy } from "../policy/load-policy.ts";
import { configError } from "../policy/problem.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";

interface PolicyDiff {
  readonly policy: string;
  /** proposed: a file that is not in force. waits: for a second person. in-force: the last change there was. */
  readonly state: "proposed" | "waits" | "in-force";
  readonly changes: readonly PolicyChange[];
  readonly at: string | null;
  readonly by: string | null;
  readonly reason: string | null;
  readonly category: string | null;
  readonly approvedBy: string | null;
}

export function diffCommand(): Command {
  return newCommand("diff", "what a change of a policy makes weaker and stronger, and what waits for approval", "holdfast policy diff /tmp/critical.yaml")
    .argument("[file]", "a new version of a policy, compared with the one of its name that is in force (default: the last change of each)")
    .action(async (file: string | undefined, options: CommonOptions) =>
      perform(options, async (tools) => {
        const policies = file === undefined ? await lastChanges(tools) : [await proposed(file, tools)];
        tools.output.result({ policies }, () => policies.map(describe).join("\n"));
        return 0;
      }),
    );
}

async function proposed(file: string, { openApp }: Tools): Promise<PolicyDiff> {
  const loaded = await loadPolicy(file);
  if (!loaded.ok) throw configError(loaded.problems);
  const app = await openApp();
  const { name, changes } = loaded.policy;
  const source = [...app.inventory.sources.values()].find(({ policy }) => policy.name === name);
  if (source === undefined) throw new HoldfastError("HF-USAGE", `no source has the policy ${name}`, { hint: "a new version has the name of the one it replaces" });
  return {
    policy: name,
    state: "proposed",
    changes: policyDifference(source.policy, loaded.policy),
    at: null,
    by: null,
    reason: changes.reason,
    category: changes.category,
    approvedBy: null,
  };
}

async function lastChanges({ openApp }: Tools): Promise<PolicyDiff[]> {
  const { inventory, catalog, journal } = await openApp();
  const { writer } = journal.evidence;
  const names = [...new Set([...inventory.sources.values()].map(({ policy }) => policy.name)), ...sourceVersionNames(catalog, writer)];
  return names.flatMap((name) => {
    const newest = newestVersion(catalog, writer, name);
    if (newest === null) return [];
    // That a source was given to its policy is worth a line only while something less waits.
    if (name.startsWith("source:") && newest.acceptedBy !== null) return [];
    if (newest.acceptedBy === null) return [viewOf(newest, "waits")];
    const accepted = acceptedVersion(catalog, writer, name);
    return accepted === null ? [] : [viewOf(accepted, "in-force")];
  });
}

function viewOf({ name, at, by, reason, category, difference, approvedBy }: PolicyVersion, state: "waits" | "in-force"): PolicyDiff {
  return { policy: name, state, changes: JSON.parse(difference) as PolicyChange[], at, by, reason, category, approvedBy };
}

const STATES = { proposed: "is proposed", waits: "waits for approval; what was in force before still is", "in-force": "is in force" } as const;

function describe({ policy, state, changes, at, by, reason, approvedBy }: PolicyDiff): string {
  const whence = at === null ? "" : ` (${at}, by ${by ?? "unknown"}${reason === null ? "" : `: ${reason}`}${approvedBy === null ? "" : `; approved by ${approvedBy}`})`;
  const lines = changes.map(({ direction, key, message }) => `  ${direction}: ${message} (${key})\n`);
  return `${policy} ${STATES[state]}${whence}\n${lines.length === 0 ? "  no difference in protection\n" : lines.join("")}`;
}
