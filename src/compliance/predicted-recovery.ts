import { z } from "zod";
import { pageOfRuns } from "../catalog/compliance-queries.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Run } from "../catalog/runs.ts";
import { bytesBetween, parseLsn } from "../domain/lsn.ts";
import { estimateRecovery } from "../domain/recovery-estimate.ts";
import type { MeasuredRecovery, RecoveryEstimate, RecoveryWork } from "../domain/recovery-estimate.ts";
import type { SourceInfo } from "../domain/source-info.ts";

/** So many of the newest drills are looked at: older ones were of another size, machine or version. */
const MOST_DRILLS = 20;
/** What a segment is counted as where its size is not known: what was seen of the source by an earlier version. */
const USUAL_SEGMENT_BYTES = 16 * 1024 * 1024;

/** How long it would take to bring back the newest state of a source, by its own drills. Null: there is nothing to restore, or no drill that measured it. */
export function predictRecovery(catalog: Catalog, source: string, info: SourceInfo | null): RecoveryEstimate | null {
  const work = info === null ? null : workNow(info);
  return work === null ? null : predictWork(catalog, source, work);
}

/** The same of a recovery that was planned. */
export function predictWork(catalog: Catalog, source: string, work: RecoveryWork): RecoveryEstimate | null {
  const drills = pageOfRuns(catalog, { sources: null, source, operation: "drill", outcome: null, from: null, to: null, limit: MOST_DRILLS, offset: 0 });
  return estimateRecovery(drills.flatMap(measuredOf), work);
}

/** The newest backup, and the WAL from its start to where the furthest copy reaches. */
function workNow({ backups, windows, walSegmentBytes }: SourceInfo): RecoveryWork | null {
  const newest = backups.reduce<SourceInfo["backups"][number] | null>((best, backup) => (best === null || backup.finishedAt > best.finishedAt ? backup : best), null);
  if (newest === null) return null;
  const segmentBytes = walSegmentBytes ?? USUAL_SEGMENT_BYTES;
  if (newest.startLsn === null || newest.stopLsn === null) return { bytes: newest.sourceBytes, walSegments: 0, segmentBytes };
  const start = parseLsn(newest.startLsn);
  const ends = windows.map(({ endLsn }) => bytesBetween(start, parseLsn(endLsn)));
  const walBytes = Math.max(0, ...ends, bytesBetween(start, parseLsn(newest.stopLsn)));
  return { bytes: newest.sourceBytes, walSegments: Math.ceil(walBytes / segmentBytes), segmentBytes };
}

const figuresSchema = z.object({
  verdict: z.enum(["pass", "pass_with_warnings", "fail"]),
  rtoActualSeconds: z.number(),
  bytes: z.number(),
  /** None in a source without a log. */
  walSegments: z.number().nullable(),
  phases: z.array(z.object({ name: z.string(), seconds: z.number() })),
});

/** A drill of which something is missing was never measured to its end, and says nothing about it. */
function measuredOf({ facts }: Run): MeasuredRecovery[] {
  const parsed = figuresSchema.safeParse(facts);
  if (!parsed.success) return [];
  const { bytes, walSegments, rtoActualSeconds, phases } = parsed.data;
  const secondsOf = (name: string): number => phases.filter((phase) => phase.name === name).reduce((sum, { seconds }) => sum + seconds, 0);
  const [restoreSeconds, recoverSeconds, checkSeconds] = [secondsOf("restore"), secondsOf("recover"), secondsOf("check")];
  const otherSeconds = Math.max(0, rtoActualSeconds - restoreSeconds - recoverSeconds - checkSeconds);
  return [{ bytes, walSegments: walSegments ?? 0, restoreSeconds, recoverSeconds, checkSeconds, otherSeconds }];
}
