import type { VerifyTier } from "../../domain/verify-tier.ts";
import { DamageError } from "../../errors.ts";
import { readAnyDocument } from "../../repository/document.ts";
import { readEvidence } from "../../repository/evidence-reading.ts";
import type { EvidenceEntry } from "../../repository/evidence-entry.ts";
import { findHoldDamage } from "../../repository/holds.ts";
import { keys } from "../../repository/layout.ts";
import type { ManifestListing } from "../../repository/manifest.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { CopyView } from "../copy-view.ts";
import { verifyBackup } from "./verify-backup.ts";
import { confirmDamage } from "./verify-confirm.ts";
import { DamageReport } from "./verify-report.ts";
import type { PieceWork } from "./verify-pieces.ts";
import type { VerifyTotals } from "./verify-report.ts";
import { reportMissingHistories } from "./verify-histories.ts";
import { pins, verifyWalContent, verifyWalStructure } from "./verify-wal.ts";
import type { WalVerification } from "./verify-wal.ts";

export interface SourceVerification {
  readonly repository: Repository;
  readonly source: string;
  /** Only this backup, what it was made from, and the WAL they need to become consistent. */
  readonly backup: string | null;
  readonly tier: VerifyTier;
  readonly report: DamageReport;
  readonly totals: VerifyTotals;
  readonly evidence: readonly EvidenceEntry[];
  /** Whether the log of the source goes to this repository; null where nobody says. */
  readonly hasLog: boolean | null;
  /** Which pieces are read. Structure (what must be there, how long it is, whether WAL has holes) is looked at whole, always: names and small documents tell it. */
  readonly choosePieces: (view: CopyView) => Promise<PieceWork>;
}

export interface VerifiedBackup {
  readonly source: string;
  readonly backup: string;
  readonly ok: boolean;
}

/** Verifies all a repository holds of one source. Work goes on meanwhile: what seems to be missing is looked for again before it is reported. */
export async function verifySource(work: SourceVerification, context: OperationContext): Promise<VerifiedBackup[]> {
  const { repository, source } = work;
  const found = new DamageReport(repository.name);
  const views = await openViews(repository, source, found);
  const [current = null] = views;
  if (current === null) return confirmed(work, { found, view: null, verified: [] });
  const pieces = await work.choosePieces(current);
  await verifySmallDocuments(repository, source, found, work.totals);
  const verified = await confirmed(work, { found, view: current, verified: await examine({ ...work, report: found }, current, pieces, context) });
  for (const view of views.slice(1)) {
    const ofCluster = new DamageReport(repository.name);
    verified.push(...(await confirmed(work, { found: ofCluster, view, verified: await examine({ ...work, report: ofCluster }, view, pieces, context) })));
  }
  return verified;
}

/** What was found of one cluster, as far as it is still so. */
async function confirmed(
  work: SourceVerification,
  { found, view, verified }: { found: DamageReport; view: CopyView | null; verified: VerifiedBackup[] },
): Promise<VerifiedBackup[]> {
  const { repository, source, report } = work;
  if (found.found.length === 0) return verified;
  const again = new DamageReport(repository.name);
  const opened = await openViews(repository, source, again);
  const now = opened.find(({ systemIdentifier }) => view === null || systemIdentifier === view.systemIdentifier) ?? null;
  if (now !== null) await examineStructure({ ...work, report: again, evidence: (await readEvidence(repository)).entries, totals: { objects: 0, bytes: 0 } }, now);
  for (const damage of confirmDamage(found, { view: now, report: again })) report.take(damage);
  return verified.filter(({ backup }) => now === null || now.listing.ids.includes(backup));
}

async function examine(work: SourceVerification, view: CopyView, pieces: PieceWork, context: OperationContext): Promise<VerifiedBackup[]> {
  const { repository, source, report, totals } = work;
  const { listing } = view;
  await examineStructure(work, view);
  const wanted = listing.backups.filter(({ manifest }) => work.backup === null || manifest.id === work.backup || isAncestor(listing, work.backup, manifest.id));
  const verified: VerifiedBackup[] = [];
  for (const stored of wanted) {
    totals.objects++;
    const found: DamageError[] = [];
    const onDamage = (error: DamageError): void => {
      found.push(error);
      report.add(error, { backups: dependents(listing, backupOf(error.object) ?? stored.manifest.id) });
    };
    await verifyBackup({ repository, stored, tier: work.tier, totals, onDamage, pieces }, context);
    // A part of it that is good does not make it good; a part of it that is damaged makes it damaged.
    const ok = found.length === 0;
    if (!ok || pieces.isAll) verified.push({ source, backup: stored.manifest.id, ok });
  }
  const needed = work.backup === null ? null : (name: string) => wanted.some(({ manifest }) => pins(manifest, name));
  await verifyWalContent({ ...walWork(work, view), pieces }, needed, context);
  return verified;
}

/** What names and small documents tell: cheap, and done again where something seems to be missing. */
async function examineStructure(work: SourceVerification, view: CopyView): Promise<void> {
  const { repository, source, report } = work;
  for (const damage of view.listing.damaged) report.add(damage, { backups: dependents(view.listing, backupOf(damage.object)) });
  reportMissingManifests(repository, source, view.listing, view.formerCluster === null ? work.evidence : [], report);
  // Of the source, not of a cluster: looked at once.
  if (view.formerCluster === null) await reportMissingHolds(repository, source, work.evidence, report);
  await verifyWalStructure(walWork(work, view));
  await reportMissingHistories(view, work.evidence, report);
}

function walWork({ repository, tier, report, totals, hasLog }: SourceVerification, view: CopyView): WalVerification {
  const mapKey = view.listing.backups.at(-1)?.manifest.mapKey.id;
  return { view, hasLog, tier, report, totals, nameKey: mapKey === undefined ? null : (repository.keyRing.mapKey(mapKey)?.names ?? null) };
}

/** Of the cluster that the source is bound to, then of former ones. */
async function openViews(repository: Repository, source: string, report: DamageReport): Promise<CopyView[]> {
  const view = await openView(repository, source, report);
  try {
    return view === null ? [] : [view, ...(await view.former())];
  } catch (error) {
    // Which clusters there were is in the bindings, each of which is looked at by itself.
    if (!(error instanceof DamageError)) throw error;
    return view === null ? [] : [view];
  }
}

async function openView(repository: Repository, source: string, report: DamageReport): Promise<CopyView | null> {
  try {
    const view = await CopyView.open(repository, source);
    if (view === null && (await repository.store.listNames(keys.manifests(source))).length > 0)
      throw new DamageError(keys.binding(source, 1), "the object is not there", "missing");
    return view;
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    const backups = (await repository.store.listNames(keys.manifests(source))).map((name) => name.replace(/\.json$/, ""));
    report.add(error, { backups });
    return null;
  }
}

/** Bindings, intents, tombstones, pins and holds: each must be authentic. */
async function verifySmallDocuments(repository: Repository, source: string, report: DamageReport, totals: VerifyTotals): Promise<void> {
  for (const folder of [keys.bindings(source), keys.intents(source), keys.tombstones(source)]) {
    for (const name of await repository.store.listNames(folder)) {
      totals.objects++;
      try {
        await readAnyDocument(repository, folder + name);
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        if (error.kind !== "missing") report.add(error);
      }
    }
  }
  const holds = await findHoldDamage(repository, source);
  totals.objects += holds.objects;
  for (const error of holds.damage) report.add(error);
}

/** Backups that others were made after, or that the evidence log says were made here, and that are neither there nor deleted on record. */
function reportMissingManifests(repository: Repository, source: string, listing: ManifestListing, evidence: readonly EvidenceEntry[], report: DamageReport): void {
  const present = new Set(listing.ids);
  const deleted = new Set(
    evidence
      .filter((entry) => entry.kind === "deletion" && entry.facts["source"] === source && entry.facts["repositoryId"] === repository.repositoryId)
      .map((entry) => String(entry.facts["backup"])),
  );
  const expected = new Map<string, string>();
  for (const { manifest } of listing.backups) if (manifest.previous !== null) expected.set(manifest.previous.id, `${manifest.id} was made after it`);
  for (const { facts, kind } of evidence) {
    if (kind !== "run.finished" || facts["source"] !== source || facts["operation"] !== "backup") continue;
    for (const made of Array.isArray(facts["made"]) ? (facts["made"] as Record<string, unknown>[]) : [])
      if (made["repositoryId"] === repository.repositoryId) expected.set(String(made["backup"]), "the evidence log says that it was made");
  }
  for (const [id, why] of expected)
    if (!present.has(id) && !deleted.has(id))
      report.add(new DamageError(keys.manifest(source, id), `the object is not there; ${why}`, "missing"), { backups: [id, ...dependents(listing, id)] });
}

/** Pins and holds that the evidence log says were made here. None is ever removed. */
async function reportMissingHolds(repository: Repository, source: string, evidence: readonly EvidenceEntry[], report: DamageReport): Promise<void> {
  for (const { kind, facts } of evidence) {
    if (kind !== "hold.changed" || facts["source"] !== source) continue;
    for (const { repositoryId, object } of Array.isArray(facts["documents"]) ? (facts["documents"] as Record<string, unknown>[]) : [])
      if (repositoryId === repository.repositoryId && typeof object === "string" && (await repository.store.size(object)) === null)
        report.add(new DamageError(object, "the object is not there; the evidence log says that it was made", "missing"));
  }
}

/** The backup an object belongs to, by its key. */
function backupOf(object: string): string | null {
  return /\/(?:backups|manifests)\/(\d{8}T\d{6}Z-(?:full|diff|incr))/.exec(object)?.[1] ?? null;
}

/** A backup and all that refer to it. */
function dependents(listing: ManifestListing, backup: string | null): string[] {
  if (backup === null) return [];
  return [backup, ...listing.backups.filter(({ manifest }) => manifest.ancestors.some(({ id }) => id === backup)).map(({ manifest }) => manifest.id)];
}

function isAncestor(listing: ManifestListing, of: string | null, candidate: string): boolean {
  return listing.backups.some(({ manifest }) => manifest.id === of && manifest.ancestors.some(({ id }) => id === candidate));
}
