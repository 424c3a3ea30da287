import { createHash } from "node:crypto";
import { newestCommitment } from "../catalog/commitments.ts";
import { countSlots } from "../domain/schedule.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Inventory, Policy } from "../policy/types.ts";
import { recordEntry } from "./record-run.ts";
import type { Journal } from "./record-run.ts";

/**
 * What will be due, put on record before it is: so that the absence of a run can be proved later, by schedule and policy as they were. One entry a day for all sources, and one where a policy changed:
 * from a schedule and a period every slot follows.
 */
interface Commitment {
  /** Slots in (from, until] are promised. */
  readonly from: string;
  readonly until: string;
  /** Hex, over all policies, their schedules and their sources. */
  readonly sha256: string;
  readonly policies: readonly CommittedPolicy[];
}

interface CommittedPolicy {
  readonly policy: string;
  /** Hex, over the whole policy: which version of it was meant. */
  readonly sha256: string;
  readonly work: readonly { readonly operation: string; readonly type: string | null; readonly schedule: Schedule; readonly slots: number }[];
  readonly sources: readonly string[];
}

const DAY_MS = 86_400_000;
/** So long before the promised time ends the next one is promised: nothing may fall due that was not. */
const AHEAD_MS = 3_600_000;

/** Promises the time until the next UTC midnight, or the one after it where that is near; nothing where it is promised already. */
export async function commitSchedule(journal: Journal, inventory: Inventory): Promise<void> {
  const now = journal.clock.now();
  const known = newestCommitment(journal.catalog, journal.evidence.writer);
  const sha256 = promiseDigest(inventory);
  const isSame = known?.sha256 === sha256 && Date.parse(known.until) > now.getTime();
  if (isSame && Date.parse(known.until) - now.getTime() > AHEAD_MS) return;
  const from = isSame ? new Date(known.until) : now;
  const until = new Date((Math.floor((Math.max(from.getTime(), now.getTime()) + AHEAD_MS) / DAY_MS) + 1) * DAY_MS - 1);
  await recordEntry(journal, "schedule.committed", { ...planCommitment(inventory, from, until) });
  await journal.copyToRepositories();
}

/** What an entry promises of (from, until]. */
export function planCommitment(inventory: Pick<Inventory, "sources">, from: Date, until: Date): Commitment {
  return { from: from.toISOString(), until: until.toISOString(), sha256: promiseDigest(inventory), policies: policiesOf(inventory, from, until) };
}

function promiseDigest({ sources }: Pick<Inventory, "sources">): string {
  return digestOf([...sources.values()].map(({ name, policy }) => [name, policyDigest(policy)]));
}

function policiesOf(inventory: Pick<Inventory, "sources">, from: Date, until: Date): CommittedPolicy[] {
  const groups = Map.groupBy(inventory.sources.values(), ({ policy }) => policyDigest(policy));
  return [...groups].flatMap(([sha256, sources]) => {
    const [first] = sources;
    if (first === undefined) return [];
    const work = scheduledWork(first.policy).map((kind) => ({ ...kind, slots: countSlots(kind.schedule, from, until).count }));
    return [{ policy: first.policy.name, sha256, work, sources: sources.map(({ name }) => name) }];
  });
}

function scheduledWork(policy: Policy): { operation: string; type: string | null; schedule: Schedule }[] {
  const backups = [...policy.backups.values()].map(({ type, schedule }) => ({ operation: "backup", type, schedule }));
  const log = policy.log === null || policy.log.schedule.kind === "stream" ? [] : [{ operation: "log", type: "log", schedule: policy.log.schedule }];
  const one = (operation: string, of: { readonly schedule: Schedule } | null): { operation: string; type: null; schedule: Schedule }[] =>
    of === null ? [] : [{ operation, type: null, schedule: of.schedule }];
  return [...backups, ...log, ...one("expire", policy.expire), ...one("verify", policy.verify), ...one("drill", policy.drills)];
}

/** The same for equal policies, whichever file they are in. */
function policyDigest(policy: Policy): string {
  return digestOf({ ...policy, backups: [...policy.backups] });
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
