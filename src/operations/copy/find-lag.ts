import type { BackupType } from "../../domain/backup-id.ts";
import { planCopy } from "../../domain/copy-plan.ts";
import type { CopyCandidate } from "../../domain/copy-plan.ts";
import type { LagView } from "../../domain/source-info.ts";
import { planWalFill } from "../../domain/wal-fill.ts";
import type { Policy } from "../../policy/types.ts";
import { backupIdentity } from "../../repository/manifest.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";

/** A backup as copying looks at it. */
export function candidateOf({ manifest }: StoredManifest): CopyCandidate {
  return {
    id: manifest.id,
    type: manifest.type,
    at: new Date(manifest.stop.at),
    ancestors: manifest.ancestors.map(({ id }) => id),
    state: manifest.state,
    identity: backupIdentity(manifest),
  };
}

/** What each repository lacks that the policy wants there and another holds. */
export function findLag(views: readonly CopyView[], policy: Policy, now: Date): LagView[] {
  return views.flatMap((to) => {
    const backups = new Set<string>();
    let walSegments = 0;
    for (const from of views.filter((other) => other !== to)) {
      for (const id of lackingBackups(from, to, policy, now)) backups.add(id);
      walSegments = Math.max(walSegments, lackingWal(from, to, policy));
    }
    return backups.size === 0 && walSegments === 0 ? [] : [{ repository: to.repository.name, backups: [...backups].toSorted(), walSegments }];
  });
}

function lackingBackups(from: CopyView, to: CopyView, { backups }: Policy, now: Date): readonly string[] {
  const wanted = [...backups].filter(([, rule]) => rule.repositories.includes(to.repository.name));
  const living = new Set(to.listing.backups.map(({ manifest }) => manifest.id));
  return planCopy({
    from: from.listing.backups.map(candidateOf),
    to: to.listing.backups.map(candidateOf),
    usedUp: new Set(to.listing.ids.filter((id) => !living.has(id))),
    only: null,
    rules: new Map(wanted.map(([type, rule]) => [type, rule.retention])),
    types: new Set<BackupType>(wanted.map(([type]) => type)),
    now,
  }).copy;
}

function lackingWal(from: CopyView, to: CopyView, { log }: Policy): number {
  const names = log?.repositories ?? [];
  if (!names.includes(from.repository.name) || !names.includes(to.repository.name)) return 0;
  return planWalFill({ from: from.inventory, fromExpired: from.expired, to: to.inventory, toExpired: to.expired }).segments.length;
}
