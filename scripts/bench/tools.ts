import type { Cluster } from "../../test/support/running-cluster.ts";
import type { Cost } from "./measure.ts";

/** Operations that are timed, in the order in which a round does them. */
type BackupKind = "full" | "incremental";

/** A backup tool under measurement. Every tool compresses with zstd at the same level with two processes or threads, and keeps its own chain in a folder of its own. */
export interface Tool extends AsyncDisposable {
  readonly name: string;
  readonly version: string;
  backup(kind: BackupKind): Promise<Cost>;
  /** Restores the newest backup into an empty folder, which it makes. Null: the tool has no such thing. */
  readonly restore: ((target: string) => Promise<Cost>) | null;
  /** Brings a folder that it restored, and in which something was changed since, back to the newest backup. Null: the tool has no such thing. */
  readonly deltaRestore: ((target: string) => Promise<Cost>) | null;
  /** Everything it can look at of what is stored. */
  readonly verify: (() => Promise<Cost>) | null;
  /** Stored bytes against their digests only, where that is not all it can do. */
  readonly verifyStored: (() => Promise<Cost>) | null;
  /** Resolves when it has nothing left to do in the background; before every measurement, whoever's it is. */
  settled?(): Promise<void>;
  /** Where everything it stores lies. */
  readonly repository: string;
}

export interface ToolSetup {
  readonly cluster: Cluster;
  /** An empty folder for its repository, configuration and state. */
  readonly folder: string;
}

/** The level Holdfast uses. */
export const LEVEL = 1;
export const PROCESSES = 2;
