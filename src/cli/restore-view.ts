import { formatSeconds } from "../domain/duration.ts";
import { formatLsn } from "../domain/lsn.ts";
import type { RecoveryEstimate } from "../domain/recovery-estimate.ts";
import { formatMicros } from "../domain/timestamp.ts";
import type { RestorePlan } from "../operations/restore/plan-restore.ts";
import type { RestoreResult } from "../operations/restore/restore.ts";
import type { RunAs } from "../postgres/process.ts";
import { formatBytes } from "./output.ts";

/** A plan as a document, flat: also what people read. */
export function describePlan({ view, stored, resolved, bytes, walBytes }: RestorePlan, predicted: RecoveryEstimate | null): Record<string, string | number | null> {
  return {
    repository: view.repository.name,
    backupId: stored.manifest.id,
    timeline: resolved.timeline,
    recordLsn: formatLsn(resolved.record),
    reachedLsn: formatLsn(resolved.end),
    lastCommitAt: resolved.lastCommit === null ? null : formatMicros(resolved.lastCommit.at),
    firstLostCommitAt: resolved.nextCommit === null ? null : formatMicros(resolved.nextCommit.at),
    bytes,
    walSegments: resolved.segments.length,
    walBytes,
    predictedSeconds: predicted?.seconds ?? null,
    predictedLowSeconds: predicted?.lowSeconds ?? null,
    predictedHighSeconds: predicted?.highSeconds ?? null,
    predictedFromDrills: predicted?.drills ?? 0,
  };
}

/** The document of a restore that was made. */
export function present(
  { captured: _captured, leftOut, files, ...result }: RestoreResult,
  plan: RestorePlan,
  { started, predicted }: { started: boolean; predicted: RecoveryEstimate | null },
): object {
  return {
    ...result,
    files,
    settingsLeftOut: leftOut,
    reachedTime: plan.resolved.lastCommit === null ? null : formatMicros(plan.resolved.lastCommit.at),
    predictedSeconds: predicted?.seconds ?? null,
    startable: true,
    started,
  };
}

/** The same for people. */
export function describe(result: RestoreResult, { resolved }: RestorePlan, { owner, started, delta }: { owner: RunAs | null; started: boolean; delta: boolean }): string {
  const lines = [
    `restored ${result.backupId} from ${result.repository} to ${result.target} (${formatBytes(result.bytes)}${delta ? `, ${formatBytes(result.writtenBytes)} of it written` : ""}, ${result.walSegments} WAL segments, ${formatSeconds(result.durationSeconds)})`,
    `  recovery will end at ${result.reachedLsn} on timeline ${result.timeline}${resolved.lastCommit === null ? "" : `; newest transaction ${formatMicros(resolved.lastCommit.at)}`}`,
    ...result.fallbacks.map(({ object, repository, servedBy, reason }) => `  ${object} came from ${servedBy}, not from ${repository}: ${reason}`),
    ...(result.leftOut.length === 0 ? [] : [`  left out of the configuration, see postgresql.conf: ${result.leftOut.join(", ")}`]),
    ...(result.databasesLeftOut.length === 0
      ? []
      : [`  left out, and there in name only: ${result.databasesLeftOut.join(", ")}. When the server is open:`, ...result.sqlAfterwards.map((sql) => `    ${sql}`)]),
    ...(started ? ["  the server is running"] : [`  start it${owner === null ? "" : " as its owner"}: pg_ctl -D ${result.target} start`]),
  ];
  return `${lines.join("\n")}\n`;
}
