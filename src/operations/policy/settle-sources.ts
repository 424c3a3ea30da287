import { acceptedSources, acceptedVersion, newestVersion } from "../../catalog/policies.ts";
import type { PolicyVersion } from "../../catalog/policies.ts";
import { policyDifference, weakens } from "../../domain/policy-difference.ts";
import type { PolicyChange } from "../../domain/policy-difference.ts";
import { policyFromWritten } from "../../policy/load-policy.ts";
import { withPolicy } from "../../policy/load.ts";
import type { UnboundSource } from "../../policy/source-kinds.ts";
import type { Inventory, Policy, SourceConfig } from "../../policy/types.ts";
import { recordEntry } from "../record-run.ts";
import type { Journal } from "../record-run.ts";

/**
 * Which policy a source has is protection as well: who may not weaken a policy must not move a source to a weaker one, change the tier or data class that its objectives follow from, or drop it from
 * the inventory. A source of a policy that asks for approval is on record as it stands, under `source:NAME`, and what is less for it waits like a change of the policy. Sources of other policies
 * are nobody's business.
 */
type Standing = UnboundSource;

/** A source as it is on record. Null as standing: it was dropped. */
interface Assignment {
  readonly source: Standing | null;
  readonly policy: string;
}

interface Settling {
  readonly by: string;
  readonly onNotice: (notice: string) => void;
}

/** `inventory`: with the policies that are in force. */
export async function settleSources(inventory: Inventory, journal: Journal, settling: Settling): Promise<Inventory> {
  const sources = new Map(inventory.sources);
  const inForce = new Map([...inventory.sources.values()].map(({ policy }) => [policy.name, policy]));
  const accepted = new Map(acceptedSources(journal.catalog, journal.evidence.writer).map((version) => [version.name, version]));
  for (const source of inventory.sources.values()) sources.set(source.name, await settle(source, accepted.get(nameOf(source.name)) ?? null, { journal, inForce, ...settling }));
  // Of what was put on record just now none is about a source that is not in the inventory.
  for (const version of accepted.values()) {
    const { source: before } = JSON.parse(version.written) as Assignment;
    if (before === null || inventory.sources.has(before.name)) continue;
    const kept = await settleDropped(before, version, { journal, inForce, ...settling });
    if (kept !== null) sources.set(kept.name, kept);
  }
  return { ...inventory, sources };
}

type Work = Settling & { readonly journal: Journal; readonly inForce: ReadonlyMap<string, Policy> };

async function settle(source: SourceConfig, accepted: PolicyVersion | null, work: Work): Promise<SourceConfig> {
  if (accepted === null && source.policy.changes.approval === "none") return source;
  const before = accepted === null ? null : standingOf(accepted, work);
  const difference = before === null ? [] : differenceBetween(before, source);
  const waits = before?.policy.changes.approval === "required" && weakens(difference);
  const { policy, objectives: _, ...standing } = source;
  await record(work, source.name, { source: standing, policy: policy.name }, difference, waits);
  if (!waits) return source;
  work.onNotice(
    `source ${source.name} was given less than it had, and that waits for approval: it keeps policy ${before.policy.name} (see 'holdfast policy diff'; 'holdfast policy approve ${nameOf(source.name)}')`,
  );
  // Where it is and how it is reached is as it is written now; what it is given is as it was.
  return withPolicy({ ...standing, tier: before.tier, dataClass: before.dataClass }, before.policy);
}

async function settleDropped(standing: Standing, accepted: PolicyVersion, work: Work): Promise<SourceConfig | null> {
  const before = standingOf(accepted, work);
  const waits = before?.policy.changes.approval === "required";
  const difference: PolicyChange[] = [{ direction: "weaker", key: "sources", message: `${standing.name} is not protected any more` }];
  await record(work, standing.name, { source: null, policy: before?.policy.name ?? "" }, difference, waits);
  if (!waits) return null;
  work.onNotice(
    `source ${standing.name} is not in the inventory any more, and that waits for approval: it goes on as it was (see 'holdfast policy diff'; 'holdfast policy approve ${nameOf(standing.name)}')`,
  );
  return before;
}

/** What a source was given; null: what is on record is no longer in the language of policies. */
function standingOf({ written }: PolicyVersion, { journal, inForce }: Work): SourceConfig | null {
  const { source, policy: name } = JSON.parse(written) as Assignment;
  const version = inForce.has(name) ? null : acceptedVersion(journal.catalog, journal.evidence.writer, name);
  const policy = inForce.get(name) ?? (version === null ? null : policyFromWritten(JSON.parse(version.written)));
  return source === null || policy === null ? null : withPolicy(source, policy);
}

/** For one source it does not matter whom else a policy applies to; and its objectives are what tier, data class and policy make of them. */
function differenceBetween(before: SourceConfig, after: SourceConfig): PolicyChange[] {
  const given = ({ policy, objectives }: SourceConfig): Policy => ({ ...policy, appliesTo: null, objectives });
  return policyDifference(given(before), given(after));
}

async function record({ journal, by }: Work, source: string, assignment: Assignment, difference: readonly PolicyChange[], waits: boolean): Promise<void> {
  const name = nameOf(source);
  const newest = newestVersion(journal.catalog, journal.evidence.writer, name);
  const isKnown = newest?.written === JSON.stringify(assignment) && (newest.acceptedBy === null) === waits;
  if (isKnown) return;
  await recordEntry(journal, "policy.changed", { name, by, reason: null, category: "normal", inForce: !waits, difference, written: assignment });
}

function nameOf(source: string): string {
  return `source:${source}`;
}
