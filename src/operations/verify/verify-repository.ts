import type { VerifyTier } from "../../domain/verify-tier.ts";
import { readEvidence } from "../../repository/evidence-reading.ts";
import { keys } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { requireWholeChain, verifyFoundations } from "./verify-foundations.ts";
import type { CopyView } from "../copy-view.ts";
import { Pieces } from "./verify-pieces.ts";
import type { PieceWork } from "./verify-pieces.ts";
import { DamageReport } from "./verify-report.ts";
import type { Damage, VerifyTotals } from "./verify-report.ts";
import { verifySource } from "./verify-source.ts";
import { reportTampering } from "./verify-versions.ts";
import type { VerifiedBackup } from "./verify-source.ts";

export interface VerifyRequest {
  readonly repository: Repository;
  /** Null: every source in the repository. */
  readonly source: string | null;
  /** Only this backup, what it was made from, and the WAL they need to become consistent. */
  readonly backup: string | null;
  /** Whether the log of the source goes to this repository. Left out: what is there tells. */
  readonly hasLog?: boolean;
  /** How deep. Backups with data checksums are judged page by page where it is `pages`. */
  readonly tier: VerifyTier;
  /** Which pieces of a source are read. Without it: all. */
  readonly choosePieces?: (view: CopyView) => Promise<PieceWork>;
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
  const { repository, hasLog = null, choosePieces = async () => new Pieces() } = request;
  const report = new DamageReport(repository.name);
  const totals: VerifyTotals = { objects: 0, bytes: 0 };
  const sources = request.source === null ? (await repository.store.listNames(keys.allSources())).map((name) => name.slice(0, -1)) : [request.source];
  const allBackups: string[] = [];
  const backups: VerifiedBackup[] = [];
  const evidence = await readSettledEvidence(repository, context);
  requireWholeChain(repository, evidence.entries);
  for (const damage of evidence.damage) report.add(damage);
  totals.objects += evidence.entries.length;
  for (const source of sources) {
    const verified = await verifySource(
      { repository, source, backup: request.backup, tier: request.tier, report, totals, evidence: evidence.entries, hasLog, choosePieces },
      context,
    );
    backups.push(...verified);
    allBackups.push(...verified.map(({ backup }) => backup));
  }
  await verifyFoundations({ repository, report, totals, backups: allBackups, evidence: evidence.entries });
  await reportTampering(repository, request.source, report);
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
