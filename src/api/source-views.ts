import type { z } from "zod";
import type { Catalog } from "../catalog/catalog.ts";
import { readSnapshot } from "../catalog/snapshots.ts";
import { currentStatus } from "../compliance/current-status.ts";
import { copiesOf } from "../domain/compliance.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { backupsSchema, sourceSchema, walListSchema } from "./source-schemas.ts";

/** What the catalog and the inventory say of a source, in the form of the wire. Never where it is or how to reach it: that is nobody's business here. */
type SourceView = z.input<typeof sourceSchema>;
type BackupItem = z.input<typeof backupsSchema>["items"][number];
type WalItem = z.input<typeof walListSchema>["items"][number];

export function sourceView(catalog: Catalog, source: SourceConfig): SourceView {
  const { name, kind, tier, dataClass, policy, objectives, heartbeat, labels } = source;
  const snapshot = readSnapshot(catalog, name);
  return {
    name,
    kind,
    tier,
    dataClass,
    policy: policy.name,
    objectives,
    heartbeat,
    labels,
    repositories: copiesOf(source),
    systemIdentifier: snapshot?.info.systemIdentifier ?? null,
    formerClusters: snapshot?.info.formerClusters ?? [],
    timeline: snapshot?.info.timeline ?? null,
    seenAt: snapshot?.at ?? null,
  };
}

/** Newest first. */
export function backupItems(catalog: Catalog, sources: readonly SourceConfig[]): BackupItem[] {
  return sources
    .flatMap(({ name }) => (readSnapshot(catalog, name)?.info.backups ?? []).map((backup) => ({ source: name, ...backup })))
    .toSorted((a, b) => b.id.localeCompare(a.id));
}

export function walItem(catalog: Catalog, source: SourceConfig, now: Date): WalItem {
  const { gaps, copies, seenAt } = currentStatus(catalog, source, now);
  return { source: source.name, seenAt, windows: readSnapshot(catalog, source.name)?.info.windows ?? [], gaps, copies };
}
