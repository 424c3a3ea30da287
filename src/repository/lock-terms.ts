import { timeOfBackupId } from "../domain/backup-id.ts";
import type { BackupType } from "../domain/backup-id.ts";
import { lifeOf } from "./layout.ts";

/** How long what is written into a repository is locked, by what it is: from the policies of the sources that use it (docs/repository-format.md section 13). */
export interface LockTerms {
  /** Beyond what retention wants: time for an expiry to make a lock longer before it ends. */
  readonly marginSeconds: number;
  readonly evidenceSeconds: number;
  readonly sources: ReadonlyMap<string, SourceTerms>;
}

export interface SourceTerms {
  /** Age up to which each type is kept; null: only counts or people keep it. */
  readonly backups: ReadonlyMap<BackupType, number | null>;
  /** Null: WAL is never removed for its age. */
  readonly logSeconds: number | null;
}

/** Not longer than somebody should be able to open a repository who was told that he no longer can (rule of the format: keys are never locked for longer than rotation needs). */
export const ENVELOPE_SECONDS = 7 * 86_400;

/** Until when an object that is made now is locked. Null: never, because it is removed as soon as it is replaced. */
export function lockUntil(key: string, terms: LockTerms, now: Date): Date | null {
  const life = lifeOf(key);
  const after = (from: Date, seconds: number): Date => new Date(from.getTime() + (seconds + terms.marginSeconds) * 1000);
  switch (life.kind) {
    case "passing":
      return null;
    case "envelope":
      return new Date(now.getTime() + ENVELOPE_SECONDS * 1000);
    case "evidence":
      return after(now, terms.evidenceSeconds);
    case "wal":
      return after(now, terms.sources.get(life.source)?.logSeconds ?? longest(terms));
    case "backup": {
      const kept = terms.sources.get(life.source)?.backups.get(life.type);
      const begun = timeOfBackupId(life.backup) ?? now;
      const until = after(begun > now ? now : begun, kept === undefined ? longest(terms) : (kept ?? 0));
      // A copy of an old one, or one whose counts keep it: the next expiry says for how long.
      const least = after(now, 0);
      return until < least ? least : until;
    }
    case "foundation":
      return after(now, longest(terms));
  }
}

/** The longest that anything is kept for its age. */
function longest({ sources }: Pick<LockTerms, "sources">): number {
  return Math.max(0, ...[...sources.values()].flatMap(({ backups, logSeconds }) => [...backups.values(), logSeconds].map((seconds) => seconds ?? 0)));
}
