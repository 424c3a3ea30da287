import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { formatLsn } from "../../domain/lsn.ts";
import type { RestorePlan } from "../restore/plan-restore.ts";

/** The server was told that WAL up to some place is safe, and let it go: a copy that ends before it lost what nobody else may have. Nothing is missing in the middle then, so only the ledger knows. */
export function checkLedger({ view, resolved, target }: RestorePlan): DrillCheckResult[] {
  const reported = view.reportedOn(resolved.timeline);
  if (target.kind !== "latest" || reported === null) return [];
  const ok = resolved.walEnd >= reported;
  const detail = `WAL was reported durable up to ${formatLsn(reported)}, and is here up to ${formatLsn(resolved.walEnd)}`;
  return [{ name: "what was reported durable", required: true, outcome: ok ? "pass" : "fail", detail, fault: "backup" }];
}
