import { knowPopulation, noteVerified } from "../../catalog/verify-ledger.ts";
import { reaches, VERIFY_TIERS } from "../../domain/verify-tier.ts";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import type { SourceConfig } from "../../policy/types.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { describeNotReached, inEachCopy } from "../each-copy.ts";
import type { NotReached } from "../each-copy.ts";
import { hasLogIn, repositoriesOf, runSpec } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordRun } from "../record-run.ts";
import type { RunTrigger } from "../record-run.ts";
import { tellingProgress } from "../run-progress.ts";
import { recordLedger } from "./record-ledger.ts";
import { ChosenPieces, sampleView } from "./verify-sample.ts";
import type { SampleRequest, SampleView } from "./verify-sample.ts";
import { listPieces } from "./verify-pieces.ts";
import type { Pieces } from "./verify-pieces.ts";
import { verifyRepository } from "./verify-repository.ts";
import type { Damage } from "./verify-report.ts";

export interface VerifyView {
  /** Null: all of them. */
  readonly backup: string | null;
  readonly ok: boolean;
  readonly tier: VerifyTier;
  readonly objects: number;
  readonly bytes: number;
  readonly damage: readonly Damage[];
  /** Those that were looked at. */
  readonly repositories: readonly string[];
  /** Null: everything was read. */
  readonly sample: SampleView | null;
  /** Those that were not, and why. */
  readonly notReached: readonly NotReached[];
}

export interface VerifyEnd {
  readonly view: VerifyView;
  readonly exitCode: number;
}

/** What a host that cannot open a repository can still look at: that every byte is what its writer signed. */
export function reachableTier({ keyRing }: Repository, tier: VerifyTier): VerifyTier {
  return keyRing.canOpenData || !reaches(tier, "decoded") ? tier : "stored";
}

function lowest(tiers: readonly VerifyTier[]): VerifyTier | undefined {
  return VERIFY_TIERS.find((tier) => tiers.includes(tier));
}

/** Verifies everything a source has in its repositories, on record: which backup was found good, to which tier, in which copy. A copy that is away does not keep us from the others. */
export async function runVerify(
  installation: Installation,
  request: { source: SourceConfig; backup: string | null; tier: VerifyTier; repository: string | null; sample?: SampleRequest | null } & RunTrigger,
  context: OperationContext,
): Promise<VerifyEnd> {
  const { source, tier, backup, sample = null } = request;
  const names = request.repository === null ? repositoriesOf(source) : [request.repository];
  // The seed is on record before anything is drawn with it.
  const spec = { ...runSpec(installation.clock, { source, operation: "verify", type: null }, request), ...(sample === null ? {} : { commitment: sample }) };
  const told = tellingProgress(installation.catalog, spec.id, context);
  return recordRun(installation.journal, spec, async () => {
    const drawn: ChosenPieces[] = [];
    const startedAt = installation.clock.now();
    const { results, notReached, exitCode } = await inEachCopy(installation, names, async (repository, name) => {
      const reached = reachableTier(repository, tier);
      if (reached !== tier) context.onNotice(`${name} cannot be opened here: its objects are compared with their digests and signatures (tier ${reached}), and not decoded`);
      const chosen = new ChosenPieces(sample);
      const choosePieces = async (view: CopyView): Promise<Pieces> => {
        const population = await listPieces(view);
        knowPopulation(installation.catalog, { source: source.name, repository: name }, population);
        return chosen.choose(async () => population);
      };
      const result = await verifyRepository({ repository, source: source.name, backup, tier: reached, hasLog: hasLogIn(source, name), choosePieces }, told);
      const damaged = new Set(result.damage.map(({ object }) => object));
      noteVerified(
        installation.catalog,
        { source: source.name, repository: name },
        chosen.results(reached, (object) => damaged.has(object)),
        startedAt,
      );
      drawn.push(chosen);
      return result;
    });
    await recordLedger(installation.journal, source.name);
    const damage = results.flatMap((result) => result.damage);
    const view: VerifyView = {
      backup,
      ok: damage.length === 0,
      tier: lowest(results.map((result) => result.tier)) ?? tier,
      objects: results.reduce((sum, { objects }) => sum + objects, 0),
      bytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
      damage,
      repositories: results.map(({ repository }) => repository),
      notReached,
      sample: sample === null ? null : sampleView(sample, drawn),
    };
    const found = view.ok ? null : `${damage.length} objects are damaged or missing`;
    const reason = [found, describeNotReached(notReached)].filter((part) => part !== null).join("; ");
    return {
      outcome: reason === "" ? "succeeded" : "failed",
      reason: reason === "" ? null : reason,
      figures: view,
      // Damage is an answer; a copy that was away is asked again.
      retryable: view.ok,
      verified: results.flatMap((result) =>
        result.backups.map((entry) => ({ repository: result.repository, source: entry.source, backup: entry.backup, tier: result.tier, ok: entry.ok })),
      ),
      value: { view, exitCode: view.ok ? exitCode : 1 },
    };
  });
}
