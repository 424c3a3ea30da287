import { z } from "zod";
import type { RecordedRun } from "../catalog/period-records.ts";
import type { Verified } from "../catalog/verified.ts";
import { repositoriesSeen } from "../domain/compliance.ts";
import type { Verification, VerifyRun } from "../domain/compliance.ts";
import type { SourceInfo } from "../domain/source-info.ts";

const number = z.number().nullable().catch(null);
const figuresSchema = z.object({
  ok: z.boolean().nullable().catch(null),
  tier: z.string().nullable().catch(null),
  objects: number,
  bytes: number,
  repositories: z.array(z.string()).catch([]),
  damage: z.array(z.unknown()).nullable().catch(null),
});

/** `runs`: those of the period that ended, oldest first. `info`: what was last seen in the repositories; null if they were never looked at. */
export function verificationOf(runs: readonly VerifyRun[], verified: readonly Verified[], info: SourceInfo | null): Verification {
  const there = info === null ? null : copiesThere(info);
  const seen = info === null ? new Set<string>() : repositoriesSeen(info);
  const key = ({ repository, backup }: { repository: string; backup: string }): string => JSON.stringify([repository, backup]);
  const present = new Set(there?.map(key));
  const known = new Set(verified.map(key));
  return {
    runs,
    // A repository that could not be reached says nothing about what is in it.
    copies: verified.map((copy) => ({ ...copy, present: seen.has(copy.repository) ? present.has(key(copy)) : null })).toSorted((a, b) => key(a).localeCompare(key(b))),
    neverVerified: there?.filter((copy) => !known.has(key(copy))) ?? null,
    pieces: info?.verification ?? [],
  };
}

function copiesThere(info: SourceInfo): { repository: string; backup: string }[] {
  return info.backups.flatMap(({ id, copies }) => copies.filter(({ state }) => state !== "failed").map(({ repository }) => ({ repository, backup: id })));
}

/** What a verification found, as its record tells it. */
export function verifyRun(run: RecordedRun): VerifyRun {
  const { damage, ...figures } = figuresSchema.parse(run.facts);
  return { run: run.id, at: run.finishedAt ?? run.startedAt, ...figures, damaged: damage?.length ?? null };
}
