import { acceptedVersion, newestVersion } from "../../catalog/policies.ts";
import type { PolicyVersion } from "../../catalog/policies.ts";
import { policyDifference, weakens } from "../../domain/policy-difference.ts";
import type { PolicyChange } from "../../domain/policy-difference.ts";
import { policyFromWritten } from "../../policy/load-policy.ts";
import { withPolicy } from "../../policy/load.ts";
import type { LoadedInventory } from "../../policy/load.ts";
import type { Inventory, Policy } from "../../policy/types.ts";
import { recordEntry } from "../record-run.ts";
import type { Journal } from "../record-run.ts";

/**
 * Which policies are in force: those of the files, unless the version that is in force asks for approval and the file is weaker. Then that version goes on, whole, out of the evidence log, until a
 * second person approves. Every version that was not there before is put on record, in force or not, before anything follows it.
 */
export async function settlePolicies(
  { inventory, policyFiles }: LoadedInventory,
  journal: Journal,
  { by, onNotice }: { by: string; onNotice: (notice: string) => void },
): Promise<Inventory> {
  const inForce = new Map<string, Policy>();
  const written = new Map([...inventory.sources.values()].map(({ policy }) => [policy.name, policy]));
  for (const [name, policy] of written) {
    const settled = await settle(policy, policyFiles.get(name)?.value, journal, by);
    inForce.set(name, settled.policy);
    if (settled.waits) onNotice(`policy ${name} was made weaker, and that waits for approval: what was in force before still is (see 'holdfast policy diff')`);
  }
  const sources = [...inventory.sources].map(([name, source]) => [name, withPolicy(source, inForce.get(source.policy.name) ?? source.policy)] as const);
  return { ...inventory, sources: new Map(sources) };
}

async function settle(policy: Policy, written: unknown, journal: Journal, by: string): Promise<{ policy: Policy; waits: boolean }> {
  const { writer } = journal.evidence;
  const accepted = acceptedVersion(journal.catalog, writer, policy.name);
  const before = accepted === null ? null : policyFromWritten(JSON.parse(accepted.written));
  const difference = before === null ? [] : policyDifference(before, policy);
  const waits = before?.changes.approval === "required" && weakens(difference);
  const text = JSON.stringify(written);
  const newest = newestVersion(journal.catalog, writer, policy.name);
  // A file that went back to what is in force is on record as well: what waited before it waits no more.
  const isKnown = newest?.written === text && (newest.acceptedBy === null) === waits;
  if (!isKnown) await recordVersion(journal, { policy, written, difference, inForce: !waits, by });
  return { policy: waits ? before : policy, waits };
}

async function recordVersion(
  journal: Journal,
  { policy, written, difference, inForce, by }: { policy: Policy; written: unknown; difference: readonly PolicyChange[]; inForce: boolean; by: string },
): Promise<void> {
  const { reason, category } = policy.changes;
  await recordEntry(journal, "policy.changed", { name: policy.name, by, reason, category, inForce, difference, written });
}

/** The version of a policy that waits for a second person; null: none does. What was put in the file since then is what counts. */
export function waitingVersion({ catalog, evidence }: Journal, name: string): PolicyVersion | null {
  const newest = newestVersion(catalog, evidence.writer, name);
  return newest?.acceptedBy === null ? newest : null;
}
