import type { Role, Scope } from "../domain/access.ts";
import type { BackupType } from "../domain/backup-id.ts";
import type { BandwidthRule } from "../domain/bandwidth.ts";
import type { FeasibilityBackup, FeasibilityLog } from "../domain/feasibility.ts";
import type { PolicySelector } from "../domain/policy-selection.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Severity } from "../domain/alert-kinds.ts";
import type { VerifyTier } from "../domain/verify-tier.ts";
import type { Window } from "../domain/window.ts";

/** The inventory and its policies, parsed, resolved and complete: what the rest of the program works with. Made only by `load.ts`. */
export interface Inventory {
  /** Absolute path of the file it was read from. */
  readonly file: string;
  /** Absolute folder: catalog, evidence, host keys, spool. */
  readonly state: string;
  readonly repositories: ReadonlyMap<string, RepositoryConfig>;
  readonly sources: ReadonlyMap<string, SourceConfig>;
  readonly limits: Limits;
  readonly postgres: { readonly binaries: readonly string[]; readonly runAs: string | null };
  readonly scratch: { readonly directory: string; readonly maxBytes: number | null; readonly memoryBytes: number | null };
  readonly channels: ReadonlyMap<string, ChannelConfig>;
  readonly alerting: Alerting;
  readonly alive: AlivePing | null;
  readonly evidence: EvidenceConfig;
  readonly api: ApiConfig;
}

/** What is done with evidence besides keeping it in every repository. */
export interface EvidenceConfig {
  readonly timestamps: TimestampConfig | null;
  /** A second place, which no repository is: a folder or a bucket. */
  readonly second: Pick<RepositoryConfig, "url" | "s3"> | null;
}

/** An authority that says when evidence was there (RFC 3161). */
export interface TimestampConfig {
  readonly authority: string;
  /** Absolute path of the certificates (PEM) that vouch for it. */
  readonly certificates: string;
  /** So often at most; and only where there is something new. */
  readonly everySeconds: number;
}

export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  /** Answers without tokens; on loopback only. */
  readonly demo: boolean;
  /** A proxy in front speaks TLS to the world and says who asks. */
  readonly behindProxy: boolean;
  readonly tls: TlsConfig | null;
  readonly oidc: OidcSettings | null;
}

/** A sign-in service for people. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: SecretRef | null;
  readonly scope: string;
  readonly groupsClaim: string;
  readonly groups: ReadonlyMap<string, Role>;
}

export interface TlsConfig {
  readonly certificate: SecretRef;
  readonly key: SecretRef;
  /** Who signs the certificates of clients; null: they have none. */
  readonly clientCa: SecretRef | null;
  /** Clients by the common name of their certificate. */
  readonly clients: ReadonlyMap<string, { readonly role: Role; readonly scope: Scope }>;
}

/** How much of scheduled work goes on at once, over all sources; null and names that are not there: as much as is due. */
export interface Limits {
  readonly hostBackups: number | null;
  readonly hostDrills: number | null;
  /** Backups that are written to a repository at the same time, by its name. */
  readonly repositoryBackups: ReadonlyMap<string, number>;
}

/** `env:NAME`, `file:/path`, or a program that prints it: where a secret is, never the secret. */
export type SecretRef =
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "command"; readonly command: readonly string[] };

export interface RepositoryConfig {
  readonly name: string;
  readonly url: string;
  readonly site: string | null;
  readonly class: string | null;
  /** Null: this host can write and open nothing. Then `recipient` says whose repository it is. */
  readonly passphrase: SecretRef | null;
  /** `age1…`: the public half of the repository's key. */
  readonly recipient: string | null;
  /** How fast each writer (a backup, a WAL stream) may write to it, by time of day: `rateAt` in domain/bandwidth.ts. */
  readonly bandwidth: readonly BandwidthRule[];
  /** What it may grow to, which projections and alerts go by; nothing is refused for it. Null: nobody says, and only the place itself may. */
  readonly maxBytes: number | null;
  /** How a place in a bucket is reached and written; null: it is a folder. */
  readonly s3: S3Config | null;
}

/** Null where nothing is written: then the environment, the server or the bucket has its own. */
export interface S3Config {
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly pathStyle: boolean | null;
  readonly credentials: { readonly accessKeyId: SecretRef; readonly secretAccessKey: SecretRef; readonly sessionToken: SecretRef | null } | null;
  readonly serverSideEncryption: { readonly algorithm: "AES256" | "aws:kms"; readonly key: string | null } | null;
  readonly storageClass: string | null;
  /** How objects are locked against deletion; null: they are not. */
  readonly objectLock: ObjectLockConfig | null;
}

interface ObjectLockConfig {
  readonly mode: "governance" | "compliance";
  /** Beyond retention: an expiry must come by within it, to make locks longer in time. */
  readonly marginSeconds: number;
  readonly evidenceSeconds: number;
}

/** Where alerts go. Which of its keys a channel has says what it is. */
export type ChannelTarget =
  | { readonly kind: "pagerduty"; readonly routingKey: SecretRef; readonly endpoint: string }
  | { readonly kind: "slack"; readonly url: SecretRef }
  | { readonly kind: "email"; readonly smtp: SecretRef; readonly to: readonly string[]; readonly from: string | null }
  | { readonly kind: "webhook"; readonly url: string; readonly secret: SecretRef }
  | { readonly kind: "alertmanager"; readonly url: string };

export type ChannelConfig = ChannelTarget & {
  readonly name: string;
  /** Null: those that its kind is for. */
  readonly severities: readonly Severity[] | null;
};

/** Who pages: we, through our channels, or the Alertmanager that is told everything. Never both. */
type Alerting = "own" | "alertmanager";

export interface AlivePing {
  readonly url: SecretRef;
  readonly everySeconds: number;
}

export const TIERS = ["critical", "important", "standard", "non-critical"] as const;
export type Tier = (typeof TIERS)[number];
export const DATA_CLASSES = ["financial", "user", "application", "system"] as const;
export type DataClass = (typeof DATA_CLASSES)[number];

/** What every source has, whatever it is. */
interface SourceBasics {
  readonly name: string;
  readonly policy: Policy;
  readonly tier: Tier;
  readonly dataClass: DataClass;
  /** Of clusters only. */
  readonly heartbeat: boolean;
  /** How fast backups may read it, by time of day: `rateAt` in domain/bandwidth.ts. */
  readonly bandwidth: readonly BandwidthRule[];
  readonly labels: Readonly<Record<string, string>>;
  /** From the policy, else from tier (RTO) and data class (RPO). */
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
}

/** A whole cluster, page by page, with its log. */
export interface ClusterSource extends SourceBasics {
  readonly kind: "postgres";
  readonly connection: SecretRef;
  /** Absolute; null: read over the connection. */
  readonly dataDirectory: string | null;
}

/** Databases of a server, as `pg_dump` writes them. */
export interface LogicalSource extends SourceBasics {
  readonly kind: "postgres-logical";
  readonly connection: SecretRef;
  /** Null: all of them. */
  readonly databases: readonly string[] | null;
}

/** A tree of files on this host. */
export interface TreeSource extends SourceBasics {
  readonly kind: "files";
  /** Absolute. */
  readonly path: string;
  /** As in a `.gitignore`, seen from there. */
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
}

export type SourceConfig = ClusterSource | LogicalSource | TreeSource;

export interface Policy {
  readonly name: string;
  /** The sources without a policy of their own that have this one. Null: none. */
  readonly appliesTo: PolicySelector | null;
  /** Whether a change that weakens it waits for a second person. */
  readonly changes: {
    readonly approval: "required" | "none";
    /** Why it is as it is now: goes on record with the change. */
    readonly reason: string | null;
    readonly category: "emergency" | "standard" | "normal";
  };
  readonly objectives: { readonly rtoSeconds: number | null; readonly rpoSeconds: number | null };
  readonly backups: ReadonlyMap<BackupType, BackupRule>;
  readonly log: LogRule | null;
  /** Up to so many seconds after its slot scheduled work other than the log begins: `jitterSeconds` in domain/jitter.ts. 0: at once. */
  readonly jitterSeconds: number;
  readonly verify: VerifyRule | null;
  readonly expire: { readonly schedule: Schedule };
  readonly drills: DrillRule | null;
  readonly hooks: Hooks;
  readonly windows: {
    /** When scheduled full and incremental backups may begin. None: always. */
    readonly heavy: readonly Window[];
    /** When no scheduled backup begins. */
    readonly blackout: readonly Blackout[];
  };
}

export interface VerifyRule {
  readonly schedule: Schedule;
  readonly tier: VerifyTier;
  /** How often WAL that came since is verified. */
  readonly walSeconds: number;
  /** What the scrub may take, piece by piece in the background; null: there is none. */
  readonly scrub: ScrubBudget | null;
}

/** At most so many bytes a second, and at most such a share of the time (0 to 1); null: no limit of this kind. */
export interface ScrubBudget {
  readonly bytesPerSecond: number | null;
  readonly share: number | null;
}

/** Programs that run beside a backup, as argument lists; an empty one is none. */
export interface Hooks {
  readonly beforeBackup: readonly string[];
  readonly afterBackup: readonly string[];
  readonly onFailure: readonly string[];
  /** Of each of them. */
  readonly timeoutSeconds: number;
}

export interface Blackout {
  readonly window: Window;
  /** For those who wonder why nothing ran. */
  readonly reason: string | null;
}

export interface BackupRule extends FeasibilityBackup {
  /** How deep each scheduled backup is verified as soon as it is made; null: with the others only, when verification is due. */
  readonly verify: VerifyTier | null;
}

export type LogRule = FeasibilityLog;

export type DrillSelect = "latest" | "random" | "random-time" | "oldest" | "worst-case";

export interface DrillRule {
  readonly schedule: Schedule;
  readonly select: DrillSelect;
  readonly checks: readonly DrillCheck[];
}

export type DrillCheck =
  | {
      readonly kind: "sql";
      readonly name: string;
      readonly sql: string;
      readonly database: string;
      readonly expect: SqlExpectation;
      readonly timeoutSeconds: number;
      readonly required: boolean;
    }
  | { readonly kind: "command"; readonly name: string; readonly command: readonly string[]; readonly timeoutSeconds: number; readonly required: boolean };

/** Of the first column of the first row. */
interface SqlExpectation {
  readonly min: number | null;
  readonly max: number | null;
  readonly equals: string | null;
}
