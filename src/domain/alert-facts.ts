import type { AlertKind, Severity } from "./alert-kinds.ts";

/** What alerts are judged from: what the catalog knows, as plain data. Unknown is null, and unknown is never "all right". */

/** Something that is wrong now. Two with the same key are the same alert. */
export interface AlertCondition {
  readonly key: string;
  readonly kind: AlertKind;
  readonly severity: Severity;
  /** Null: it is not about one source. */
  readonly source: string | null;
  readonly repository: string | null;
  /** Stays the same while the alert does. */
  readonly title: string;
  /** How it stands at this moment; may change from look to look. */
  readonly detail: string | null;
  readonly whatToDo: string;
  /** Since when, where that is known; else since it was first seen. RFC 3339. */
  readonly since: string | null;
}

/** What is wrong, and of which keys nobody can say whether it still is: an alert of such a key stays as it was. */
export interface AlertAssessment {
  readonly conditions: readonly AlertCondition[];
  readonly undecided: ReadonlySet<string>;
}

export interface SourceAlertFacts {
  readonly name: string;
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  /** When it was last looked at; null: never. */
  readonly seenAt: string | null;
  /** Null: never looked. */
  readonly backups: readonly BackupFact[] | null;
  readonly copies: readonly CopyFact[];
  /** The newest run of each kind that ended, slots that were passed over apart. */
  readonly lastRuns: readonly RunFact[];
  readonly missed: readonly MissedFact[];
  readonly lastDrill: DrillFact | null;
  /** Since when drills are asked for without one that passed; null: there is one, or none is asked for. */
  readonly unprovenSince: string | null;
  /** Whether commits of the server wait for our stream alone, and how that stands; null: the server was not asked, or did not answer. */
  readonly commits: { readonly waitForUs: boolean; readonly streaming: boolean } | null;
  /** When the server last no longer had WAL that was not stored; null: never. */
  readonly walLostAt: string | null;
}

export interface BackupFact {
  readonly id: string;
  readonly type: string;
  readonly startedAt: string;
  readonly corruptPages: number;
  /** In what way its size is unusual; null: it is not, or nobody can say. */
  readonly unusualSize: string | null;
  /** Repositories whose copy was found damaged. */
  readonly damagedIn: readonly string[];
}

/** `absent`: nothing of this source is there. `unseen`: the repository could not be read. `server_unknown`: it could, but the server did not answer. */
export type CopySight = "observed" | "server_unknown" | "unseen" | "absent";

export interface CopyFact {
  readonly repository: string;
  readonly sight: CopySight;
  readonly objectiveApplies: boolean;
  /** Null: not known. */
  readonly exposureSeconds: number | null;
  readonly gaps: number;
}

export interface RunFact {
  readonly operation: string;
  readonly type: string | null;
  readonly outcome: "succeeded" | "failed" | "cancelled" | "interrupted";
  readonly reason: string | null;
  readonly endedAt: string;
  /** Of a backup: the repositories that do not have it, where others have. */
  readonly notIn: readonly string[];
  /** Of a verification that came to a result: how many objects are damaged, by repository. */
  readonly damage: ReadonlyMap<string, number>;
  /** Hooks that failed after it. */
  readonly failedHooks: readonly string[];
}

export interface MissedFact {
  readonly operation: string;
  readonly type: string | null;
  readonly slots: number;
  readonly slot: string;
}

export interface DrillFact {
  readonly verdict: string | null;
  readonly rtoActualSeconds: number | null;
  readonly reason: string | null;
  readonly endedAt: string;
  /** Of its slot: 1, and more where the ones before came to nothing. */
  readonly attempt: number;
  /** If this came to nothing: from when on the scheduler tries again; null: it does not. */
  readonly nextTryAt: string | null;
}

/** What is not about one source. */
export interface SystemAlertFacts {
  readonly schedulerOnTime: boolean;
  /** Why changed files are not in force; null: they are, or there are none. */
  readonly configurationProblem: string | null;
  readonly findings: readonly PolicyFindingFact[];
  readonly expiring: readonly ExpiringFact[];
  readonly capacity: readonly CapacityFact[];
  readonly locks: readonly LockFact[];
  readonly access: readonly AccessFact[];
  readonly channels: readonly ChannelFact[];
  readonly evidence: readonly EvidenceFact[];
}

/** How it stands with a way that evidence goes besides the repositories. */
export interface EvidenceFact {
  readonly route: "timestamps" | "second";
  readonly failingSince: string | null;
  readonly error: string | null;
  readonly diverged: boolean;
}

export interface PolicyFindingFact {
  readonly severity: "infeasible" | "warning";
  /** Where it is written: `critical.yaml:12`. */
  readonly place: string;
  readonly message: string;
  readonly sources: readonly string[];
}

/** Locks of a copy in a place of locks. Expiry looks at all of them and makes longer what would end too soon. */
export interface LockFact {
  readonly source: string;
  readonly repository: string;
  /** When expiry last did so in this copy; null: never. */
  readonly renewedAt: string | null;
  /** Since when there is something to renew. */
  readonly since: string;
  /** So much longer than retention asks for is every lock when it was renewed. */
  readonly marginSeconds: number;
}

/** Something that ends: a token, a certificate. */
export interface ExpiringFact {
  /** With its name: `token ci`. */
  readonly what: string;
  readonly expiresAt: string;
}

export interface CapacityFact {
  readonly repository: string;
  /** Now; null where the place does not say. */
  readonly freeBytes: number | null;
  /** When nothing will be free any more, if it goes on as it did; null: not to be seen. */
  readonly fullAt: string | null;
}

export interface AccessFact {
  readonly at: string;
  readonly kind: "refused" | "changed";
  /** In words: who tried what. */
  readonly text: string;
  /** How often, where it was counted. */
  readonly count: number;
}

interface ChannelFact {
  readonly name: string;
  readonly failingSince: string | null;
  readonly error: string | null;
}
