import { z } from "zod";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import { DamageError } from "../../errors.ts";
import { checkEnvelope } from "../../repository/admin-documents.ts";
import { readAnyDocument, readDocument, readOrDamage } from "../../repository/document.ts";
import { readEvidence } from "../../repository/evidence-log.ts";
import { DESCRIPTOR_KEY, keys } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { DamageReport } from "./verify-report.ts";
import type { Damage, VerifyTotals } from "./verify-report.ts";
import { verifySource } from "./verify-source.ts";
import type { VerifiedBackup } from "./verify-source.ts";

export interface VerifyRequest {
  readonly repository: Repository;
  /** Null: every source in the repository. */
  readonly source: string | null;
  /** Only this backup, what it was made from, and the WAL they need to become consistent. */
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
  readonly backups: readonly VerifiedBackup[];
}

const EVIDENCE_LOOK_AGAIN_MS = 2000;

/** Finds damage in everything a repository holds: keys, hosts, leases, backups, WAL, evidence. Collects all of it; throws only if the repository cannot be read at all. */
export async function verifyRepository(request: VerifyRequest, context: OperationContext): Promise<VerifyResult> {
  const { repository } = request;
  const report = new DamageReport(repository.name);
  const totals: VerifyTotals = { objects: 0, bytes: 0 };
  const sources = request.source === null ? (await repository.store.listNames(keys.allSources())).map((name) => name.slice(0, -1)) : [request.source];
  const allBackups: string[] = [];
  const backups: VerifiedBackup[] = [];
  const evidence = await readSettledEvidence(repository, context);
  for (const damage of evidence.damage) report.add(damage);
  totals.objects += evidence.entries.length;
  for (const source of sources) {
    const verified = await verifySource({ repository, source, backup: request.backup, tier: request.tier, report, totals, evidence: evidence.entries }, context);
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
  // In this order: a host is admitted before it writes.
  const writers = await repository.store.listNames(keys.evidence());
  const admitted = await repository.store.listNames(keys.hosts(keyId));
  for (const folder of writers) {
    const host = keys.host(keyId, folder.slice(0, -1));
    if (!admitted.includes(host.slice(keys.hosts(keyId).length)))
      report.add(new DamageError(host, "the object is not there, and this host has written evidence", "missing"), { backups });
  }
  for (const name of admitted) await check(backups, () => readAnyDocument(repository, keys.hosts(keyId) + name));
  for await (const { key } of repository.store.list("leases/")) await check([], async () => readLeaseDocument(repository, key));
}

/** A lease moves on while we look: the document before is removed, and nobody misses it. */
async function readLeaseDocument(repository: Repository, key: string): Promise<void> {
  try {
    await readAnyDocument(repository, key);
  } catch (error) {
    if (!(error instanceof DamageError) || error.kind !== "missing") throw error;
  }
}

/** A statement whose age file is gone names what was taken away. */
async function verifyStatement(repository: Repository, object: string, names: readonly string[]): Promise<void> {
  await readDocument(repository, object, "envelope", z.object({ sha256: z.string() }));
  const file = object.replace(/\.json$/, ".age");
  if (!names.includes(file.slice(file.lastIndexOf("/") + 1))) throw new DamageError(file, "the object is not there; its signed statement is", "missing");
}
