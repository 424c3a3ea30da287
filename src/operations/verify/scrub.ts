import { knowPopulation, noteVerified, readLedger } from "../../catalog/verify-ledger.ts";
import type { LedgerPlace } from "../../catalog/verify-ledger.ts";
import { withinBudget } from "../../domain/verify-ledger.ts";
import type { LedgerLine } from "../../domain/verify-ledger.ts";
import type { ScrubBudget, SourceConfig } from "../../policy/types.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { inEachCopy } from "../each-copy.ts";
import type { CopiesDone } from "../each-copy.ts";
import { hasLogIn, newRunId, repositoriesOf } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry } from "../record-run.ts";
import { recordLedger } from "./record-ledger.ts";
import { reachableTier } from "./run-verify.ts";
import { PacedPieces } from "./scrub-pace.ts";
import { listPieces, Pieces } from "./verify-pieces.ts";
import { DamageReport } from "./verify-report.ts";
import type { Damage, VerifyTotals } from "./verify-report.ts";
import { verifySource } from "./verify-source.ts";

export interface ScrubRequest {
  readonly source: SourceConfig;
  /** Null: only WAL that was never verified. */
  readonly budget: ScrubBudget | null;
  /** How long this slice may last; WAL that was never verified is verified even so. */
  readonly seconds: number;
}

export interface ScrubResult {
  readonly repository: string;
  readonly pieces: number;
  readonly bytes: number;
  readonly damage: readonly Damage[];
}

/** Where only the time is limited: what a fast disk gives meanwhile. More is chosen than is done, and the slice ends with its time. */
const FASTEST_BYTES_PER_SECOND = 500_000_000;

/**
 * One slice of the scrub of a source: in each of its copies WAL that was never verified, and as many of the other pieces as the budget allows, those first that were verified longest ago. Where it
 * goes on is in the ledger, so that a slice that was killed costs no more than itself. It reads to tier `decoded` (every block against the digest that was taken when it was read from the server):
 * PostgreSQL's own page checksums say nothing more then.
 *
 * What is found good goes into the ledger, and into the evidence by the hour; damage is a failed run on record at once. A copy that is away keeps nobody from the others, and is named in the answer.
 */
export async function scrub(installation: Installation, request: ScrubRequest, context: OperationContext): Promise<CopiesDone<ScrubResult>> {
  const names = repositoriesOf(request.source);
  const slice = { ...request, seconds: request.seconds / names.length };
  return inEachCopy(installation, names, (repository) => scrubCopy(installation, repository, slice, context));
}

async function scrubCopy(installation: Installation, repository: Repository, request: ScrubRequest, context: OperationContext): Promise<ScrubResult> {
  const { catalog, clock } = installation;
  const startedAt = clock.now();
  const place: LedgerPlace = { source: request.source.name, repository: repository.name };
  const tier = reachableTier(repository, "decoded");
  const report = new DamageReport(repository.name);
  const totals: VerifyTotals = { objects: 0, bytes: 0 };
  let pieces = new Pieces([]);
  const choosePieces = async (view: CopyView): Promise<Pieces> => {
    knowPopulation(catalog, place, await listPieces(view));
    pieces = choose(readLedger(catalog, place), request, context);
    return pieces;
  };
  const isDamaged = (object: string): boolean => report.has(object);
  try {
    const hurt = await verifySource(
      { repository, source: request.source.name, backup: null, tier, report, totals, evidence: [], hasLog: hasLogIn(request.source, repository.name), choosePieces },
      context,
    );
    const results = pieces.results(tier, isDamaged);
    noteVerified(catalog, place, results, startedAt);
    if (report.found.length > 0) await recordDamage(installation, request.source, { startedAt, tier, repository, report, totals, hurt: hurt.map(({ backup }) => backup) });
    return { repository: repository.name, pieces: results.length, bytes: totals.bytes, damage: report.found };
  } catch (error) {
    // Cut short: what was read and found whole is known all the same. What was found damaged is read again.
    noteVerified(
      catalog,
      place,
      pieces.results(tier, isDamaged).filter(({ ok }) => ok),
      startedAt,
    );
    throw error;
  }
}

function choose(lines: readonly LedgerLine[], { budget, seconds }: ScrubRequest, { clock, signal }: OperationContext): Pieces {
  const free = lines.filter(({ kind, at }) => kind === "wal" && at === null);
  if (budget === null) return new PacedPieces({ paced: [], free, budget: { bytesPerSecond: null, share: null }, seconds: 0, clock, signal });
  const others = lines.filter(({ kind, at }) => kind !== "wal" || at !== null);
  const perSecond = Math.min(budget.bytesPerSecond ?? FASTEST_BYTES_PER_SECOND, FASTEST_BYTES_PER_SECOND * (budget.share ?? 1));
  return new PacedPieces({ paced: withinBudget(others, perSecond * seconds), free, budget, seconds, clock, signal });
}

interface Found {
  readonly startedAt: Date;
  readonly tier: string;
  readonly repository: Repository;
  readonly report: DamageReport;
  readonly totals: VerifyTotals;
  readonly hurt: readonly string[];
}

async function recordDamage({ journal, clock }: Installation, source: SourceConfig, { startedAt, tier, repository, report, totals, hurt }: Found): Promise<void> {
  const damage = report.found;
  const backups = [...new Set([...hurt, ...damage.flatMap((found) => found.backups)])];
  await recordLedger(journal, source.name);
  await recordEntry(journal, "run.finished", {
    run: newRunId(clock),
    source: source.name,
    operation: "verify",
    type: null,
    trigger: "schedule",
    scheduledFor: null,
    startedAt: startedAt.toISOString(),
    outcome: "failed",
    reason: `${damage.length} objects are damaged or missing`,
    figures: { backup: null, ok: false, tier, ...totals, damage, repositories: [repository.name], sample: null },
    verified: backups.map((backup) => ({ repository: repository.name, source: source.name, backup, tier, ok: false })),
    retryable: false,
  });
  await journal.copyToRepositories();
}
