import type { BackupType } from "../../domain/backup-id.ts";
import type { BackupSession } from "../../postgres/backup-session.ts";
import type { CopiesTogether } from "../../repository/backup-copies.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { CopyPlace, Parent } from "./choose-parent.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { Away } from "../installation.ts";
import type { RunningStream } from "../wal/run-stream.ts";
import type { SourceTarget } from "../source-target.ts";

/** What is asked of a backup, of whichever kind. */
export interface BackupOrder {
  readonly source: { readonly name: string };
  readonly type: BackupType;
  /** The copies to make, in order; the first is read from for the parent. */
  readonly repositories: readonly WritableRepository[];
  /** Copies that cannot be made now, by name: they are made up for by copying. */
  readonly away?: readonly Away[];
  readonly runId: string;
  readonly compressionLevel: number;
  /** Whether a run of this host is known to have ended: what it left unfinished nobody will finish. */
  readonly hasEnded?: (runId: string) => boolean;
  /** Waits for another run to end instead of refusing. */
  readonly wait?: boolean;
}

/** Of a cluster. */
export interface BackUpRequest extends BackupOrder {
  readonly source: SourceTarget;
  /** Where WAL goes all the time, first tier first: what a copy lacks of it is brought over from there. */
  readonly logRepositories: readonly WritableRepository[];
  /** Whether the source has a log at all, also where none of its repositories can be reached. Without it: if any is named. */
  readonly hasLog?: boolean;
}

export interface CopyOutcome {
  readonly repository: string;
  readonly stored: StoredManifest | null;
  readonly storedBytes: number;
  readonly error: unknown;
}

export interface BackUpResult {
  readonly id: string;
  readonly type: BackupType;
  readonly requestedType: BackupType;
  readonly copies: readonly CopyOutcome[];
  readonly durationSeconds: number;
}

export interface BackupUnderWay {
  readonly id: string;
  readonly type: BackupType;
  readonly together: CopiesTogether;
  readonly places: readonly CopyPlace[];
  readonly parent: Parent;
  readonly state: ClusterState;
  readonly session: BackupSession;
  readonly stream: RunningStream | null;
  readonly request: BackUpRequest;
}
