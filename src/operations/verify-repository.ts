import { z } from "zod";
import type { VerifyTier } from "../domain/verify-tier.ts";
import { DamageError } from "../errors.ts";
import { readAnyDocument, readDocument, readOrDamage } from "../repository/document.ts";
import { readEvidence } from "../repository/evidence-log.ts";
import type { EvidenceEntry } from "../repository/evidence-log.ts";
import { DESCRIPTOR_KEY, keys } from "../repository/layout.ts";
import type { ManifestListing } from "../repository/manifest.ts";
import { checkEnvelope } from "../repository/repository.ts";
import type { Repository } from "../repository/repository.ts";
import type { OperationContext } from "./context.ts";
import { CopyView } from "./copy-view.ts";
import { verifyBackup } from "./verify-backup.ts";
import { DamageReport } from "./verify-report.ts";
import type { Damage, VerifyTotals } from "./verify-report.ts";
import { verifyWal } from "./verify-wal.ts";

export interface VerifyRequest {
  readonly repository: Repository;
  /** Null: every source in the repository. */
  readonly source: string | null;
  /** Only this backup and the WAL. */
  readonly backup: string | null;
  /** How deep. Backups with data checksums are judged page by page where it is `pages`. */
  readonly tier: VerifyTier;
}

export interface VerifyResult {
  readonly repository: string;
  readonly ok: boolean;
  readonly tier: VerifyTier;
  readonly objects: number;
  readonly bytes: number;
  readonly damage: readonly Damage[];
  /** For each backup that was looked at. */
  readonly backups: readonly { readonly source: string; readonly backup: string; readonly ok: boolean }[];
}

const EVIDENCE_LOOK_AGAIN_MS = 2000;

/** Finds damage in everything a repository holds: keys, hosts, leases, backups, WAL, evidence. Collects all of it; throws only if the repository cannot be read at all. */
export async function verifyRepository(request: VerifyRequest, context: OperationContext): Promise<VerifyResult> {
  const { repository } = request;
  const report = new DamageReport(repository.name);
  const totals: VerifyTotals = { objects: 0, bytes: 0 };
  const sources = request.source === null ? (await repository.store.listNames(keys.allSources())).map((name) => name.slice(0, -1)) : [request.source];
  const allBackups: string[] = [];
  const backups: { source: string; backup: string; ok: boolean }[] = [];
  const evidence = await readSettledEvidence(repository, context);
  for (const damage of evidence.damage) report.add(damage);
  totals.objects += evidence.entries.length;
  for (const source of sources) {
    const verified = await verifySource(request, source, report, totals, evidence.entries, context);
    backups.push(...verified);
    allBackups.push(...verified.map(({ backup }) => backup));
  }
  await verifyFoundations(repository, report, totals, allBackups);
  const damage = report.found;
  const hurt = new Set(damage.flatMap((found) => found.backups));
  return {
    repository: repository.name,
    ok: damage.length === 0,
    tier: request.tier,
    ...totals,
    damage,
    backups: backups.map((entry) => ({ ...entry, ok: entry.ok && !hurt.has(entry.backup) })),
  };
}

/** An entry is followed by its checkpoint within moments: what looks uncovered is looked at again before it is called damage. */
async function readSettledEvidence(repository: Repository, context: OperationContext): Promise<Awaited<ReturnType<typeof readEvidence>>> {
  const first = await readEvidence(repository);
  if (first.damage.length === 0) return first;
  await context.clock.sleep(EVIDENCE_LOOK_AGAIN_MS, context.signal);
  return readEvidence(repository);
}

/** What all backups depend on: the descriptor, keys and their envelopes, admitted hosts; and leases, which no backup depends on. */
async function verifyFoundations(repository: Repository, report: DamageReport, totals: VerifyTotals, backups: readonly string[]): Promise<void> {
  const check = async (hurt: readonly string[], act: () => Promise<unknown>): Promise<void> => {
    totals.objects++;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      report.add(error, { backups: hurt });
    }
  };
  await check(backups, () => readAnyDocument(repository, DESCRIPTOR_KEY));
  const { keyId } = repository.keyRing.current;
  const names = await repository.store.listNames(keys.keyEnvelopes(keyId));
  for (const name of names) {
    const object = keys.keyEnvelopes(keyId) + name;
    if (name.endsWith(".age")) await check(backups, async () => checkEnvelope(repository, object, await readOrDamage(repository.store, object)));
    else if (name !== "key.json") await check(backups, () => verifyStatement(repository, object, names));
    else await check(backups, () => readAnyDocument(repository, object));
  }
  const admitted = await repository.store.listNames(keys.hosts(keyId));
  for (const folder of await repository.store.listNames(keys.evidence())) {
    const host = keys.host(keyId, folder.slice(0, -1));
    if (!admitted.includes(host.slice(keys.hosts(keyId).length)))
      report.add(new DamageError(host, "the object is not there, and this host has written evidence", "missing"), { backups });
  }
  for (const name of admitted) await check(backups, () => readAnyDocument(repository, keys.hosts(keyId) + name));
  for await (const { key } of repository.store.list("leases/")) await check([], () => readAnyDocument(repository, key));
}

/** A statement whose age file is gone names what was taken away. */
async function verifyStatement(repository: Repository, object: string, names: readonly string[]): Promise<void> {
  await readDocument(repository, object, "envelope", z.object({ sha256: z.string() }));
  const file = object.replace(/\.json$/, ".age");
  if (!names.includes(file.slice(file.lastIndexOf("/") + 1))) throw new DamageError(file, "the object is not there; its signed statement is", "missing");
}

async function verifySource(
  request: VerifyRequest,
  source: string,
  report: DamageReport,
  totals: VerifyTotals,
  evidence: readonly EvidenceEntry[],
  context: OperationContext,
): Promise<{ source: string; backup: string; ok: boolean }[]> {
  const { repository } = request;
  const view = await openView(repository, source, report);
  if (view === null) return [];
  const { listing } = view;
  await verifySmallDocuments(repository, source, report, totals);
  for (const damage of listing.damaged) report.add(damage, { backups: dependents(listing, backupOf(damage.object)) });
  reportMissingManifests(repository, source, listing, evidence, report);
  const wanted = listing.backups.filter(({ manifest }) => request.backup === null || manifest.id === request.backup || isAncestor(listing, request.backup, manifest.id));
  const verified: { source: string; backup: string; ok: boolean }[] = [];
  for (const stored of wanted) {
    totals.objects++;
    let ok = true;
    const onDamage = (error: DamageError): void => {
      ok = false;
      report.add(error, { backups: dependents(listing, backupOf(error.object) ?? stored.manifest.id) });
    };
    await verifyBackup({ repository, stored, tier: request.tier, totals, onDamage }, context);
    verified.push({ source, backup: stored.manifest.id, ok });
  }
  const mapKey = listing.backups.at(-1)?.manifest.mapKey.id;
  await verifyWal({ view, tier: request.tier, report, totals, nameKey: mapKey === undefined ? null : (repository.keyRing.mapKey(mapKey)?.names ?? null) }, context);
  return verified;
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

/** Bindings, intents, tombstones, lists of expired WAL: each must be authentic. */
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
