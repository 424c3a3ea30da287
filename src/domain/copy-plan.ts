import type { BackupType } from "./backup-id.ts";
import { planExpiry } from "./retention.ts";
import type { RetainedBackup, RetentionRule } from "./retention.ts";

/** A backup set of one copy, as copying looks at it. Equal `identity`: the same backup. */
export interface CopyCandidate extends RetainedBackup {
  readonly identity: string;
}

export interface CopyPlanInput {
  readonly from: readonly CopyCandidate[];
  readonly to: readonly CopyCandidate[];
  /** Ids that were given up, or are being deleted, in the repository that is copied to. */
  readonly usedUp: ReadonlySet<string>;
  /** One backup, and what it was made from; null: all that there is to copy. */
  readonly only: string | null;
  /** What the policy keeps there. A type without a rule is kept. */
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  /** The types that are wanted there; null: all. What they were made from comes along. */
  readonly types: ReadonlySet<BackupType> | null;
  readonly now: Date;
}

export interface CopyPlan {
  /** In the order in which they are copied: what a backup was made from comes before it. */
  readonly copy: readonly string[];
  /** There already. */
  readonly present: readonly string[];
  /** Not copied, and why: another content under the id, or the id is used up there. */
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
  /** Retention would remove them there at once. */
  readonly expired: readonly string[];
}

/** Which backups one repository lacks that another holds, and that are worth copying. */
export function planCopy(input: CopyPlanInput): CopyPlan {
  const { from, to, only } = input;
  const here = new Map(from.map((backup) => [backup.id, backup]));
  const there = new Map(to.map((backup) => [backup.id, backup]));
  const kept = new Set(only === null ? keptThere(input) : [only]);
  for (const id of kept) for (const ancestor of here.get(id)?.ancestors ?? []) kept.add(ancestor);
  const wanted = from.filter(({ id }) => kept.has(id)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const refused = new Map<string, string>();
  const copy: string[] = [];
  for (const { id, identity, ancestors } of wanted) {
    const same = there.get(id);
    if (same?.identity === identity) continue;
    const hurt = ancestors.find((ancestor) => refused.has(ancestor) || !(copy.includes(ancestor) || there.get(ancestor)?.identity === here.get(ancestor)?.identity));
    if (same !== undefined) refused.set(id, "another backup has this id there");
    else if (input.usedUp.has(id)) refused.set(id, "its id is used up there: an attempt at it was given up, or it is being deleted");
    else if (hurt !== undefined) refused.set(id, `${hurt}, which it was made from, cannot be there`);
    else copy.push(id);
  }
  return {
    copy,
    present: wanted.map(({ id }) => id).filter((id) => !copy.includes(id) && !refused.has(id)),
    refused: [...refused].map(([id, reason]) => ({ id, reason })),
    expired: only === null ? from.map(({ id }) => id).filter((id) => !kept.has(id) && !there.has(id) && isWanted(input, here.get(id))) : [],
  };
}

function isWanted({ types }: CopyPlanInput, backup: CopyCandidate | undefined): boolean {
  return backup !== undefined && (types === null || types.has(backup.type));
}

/** What retention would keep there, if all were there. */
function keptThere(input: CopyPlanInput): string[] {
  const { from, to, rules, now } = input;
  const wanted = from.filter((backup) => isWanted(input, backup));
  const backups = new Map([...wanted, ...to].map((backup) => [backup.id, backup]));
  return planExpiry({ backups: [...backups.values()], rules, now })
    .filter(({ keep }) => keep)
    .map(({ id }) => id);
}
