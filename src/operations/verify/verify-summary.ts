import { reaches } from "../../domain/verify-tier.ts";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import { DamageError } from "../../errors.ts";
import { FrameReader } from "../../repository/container-reader.ts";
import type { Container } from "../../repository/open-container.ts";
import type { Repository } from "../../repository/repository.ts";
import { openSummary, readSummary, summaryKeyOf } from "../../repository/wal-summaries.ts";
import type { CopyView } from "../copy-view.ts";
import type { VerifyTotals } from "./verify-report.ts";

interface SummaryVerification {
  readonly view: CopyView;
  readonly tier: VerifyTier;
  readonly totals: VerifyTotals;
}

/** Verifies the summary of a segment, to the tier. `isExpected`: the segment says that there is one. Rejects with `DamageError`. */
export async function verifySummary({ view, tier, totals }: SummaryVerification, segmentObject: string, isExpected: boolean): Promise<void> {
  const { repository, source, place } = view;
  const container = await openExpected(repository, source, summaryKeyOf(place, segmentObject), isExpected);
  if (container === null) return;
  totals.objects++;
  totals.bytes += container.bytes;
  if (!reaches(tier, "stored")) return;
  const { key } = container.meta;
  // The map key of another host may not be at hand: then the digests must do.
  if (reaches(tier, "decoded") && "mapKey" in key && repository.keyRing.mapKey(key.mapKey) !== null) await readSummary(repository, container);
  else await new FrameReader(repository, container).checkStored();
}

async function openExpected(repository: Repository, source: string, object: string, isExpected: boolean): Promise<Container | null> {
  try {
    return await openSummary(repository, source, object);
  } catch (error) {
    if (error instanceof DamageError && error.kind === "missing" && !isExpected) return null;
    throw error;
  }
}
