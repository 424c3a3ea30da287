/**
 * The keys of objects: the one place that knows where things lie in a repository (docs/repository-format.md section 2).
 * Names from outside are checked here before they become part of a key.
 */
import { typeOfBackupId } from "../domain/backup-id.ts";
import type { BackupType } from "../domain/backup-id.ts";
import { HoldfastError } from "../errors.ts";

export const DESCRIPTOR_KEY = "holdfast.json";

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;

export function isSourceName(name: string): boolean {
  return NAME.test(name) && !name.includes("..");
}

function source(name: string): string {
  if (!isSourceName(name)) throw new HoldfastError("HF-USAGE", `not a source name: ${JSON.stringify(name)}`, { hint: "lower-case letters, digits, '-', '_' and '.', at most 63" });
  return `sources/${name}`;
}

function digits(value: number, width: number): string {
  return value.toString().padStart(width, "0");
}

export const keys = {
  keyFolder: () => "keys/",
  keyDocument: (keyId: string) => `keys/${keyId}/key.json`,
  keyEnvelopes: (keyId: string) => `keys/${keyId}/`,
  keyEnvelope: (keyId: string, recipient: string, n: number) => `keys/${keyId}/${recipient}-${n}.age`,
  envelopeStatement: (ageKey: string) => ageKey.replace(/\.age$/, ".json"),
  rotation: (keyId: string) => `rotations/${keyId}.json`,
  hosts: (keyId: string) => `hosts/${keyId}/`,
  host: (keyId: string, fingerprint: string) => `hosts/${keyId}/${fingerprint}.json`,
  expelledHosts: (keyId: string) => `expelled/${keyId}/`,
  expelledHost: (keyId: string, fingerprint: string) => `expelled/${keyId}/${fingerprint}.json`,
  expelledList: (keyId: string, fingerprint: string) => `expelled/${keyId}/${fingerprint}.list`,
  requests: () => "requests/",
  request: (fingerprint: string) => `requests/${fingerprint}.json`,
  leases: (scope: string) => `leases/${scope}/`,
  lease: (scope: string, epoch: number) => `leases/${scope}/${digits(epoch, 12)}.json`,
  allSources: () => "sources/",
  source: (name: string) => `${source(name)}/`,
  bindings: (name: string) => `${source(name)}/bindings/`,
  binding: (name: string, n: number) => `${source(name)}/bindings/${digits(n, 8)}.json`,
  intents: (name: string) => `${source(name)}/intents/`,
  intent: (name: string, backup: string) => `${source(name)}/intents/${backup}.json`,
  backup: (name: string, backup: string) => `${source(name)}/backups/${backup}/`,
  backups: (name: string) => `${source(name)}/backups/`,
  pack: (name: string, backup: string, kind: "data" | "map", n: number) => `${source(name)}/backups/${backup}/${kind}/${digits(n, 8)}`,
  contents: (name: string, backup: string) => `${source(name)}/backups/${backup}/contents`,
  manifests: (name: string) => `${source(name)}/manifests/`,
  manifest: (name: string, backup: string) => `${source(name)}/manifests/${backup}.json`,
  tombstones: (name: string) => `${source(name)}/tombstones/`,
  tombstone: (name: string, backup: string) => `${source(name)}/tombstones/${backup}.json`,
  holds: (name: string) => `${source(name)}/holds/`,
  /** `subject`: the id of a backup, or `all`. */
  holdsOf: (name: string, subject: string) => `${source(name)}/holds/${subject}/`,
  hold: (name: string, subject: string, sequence: number) => `${source(name)}/holds/${subject}/${digits(sequence, 12)}.json`,
  wal: (name: string) => `${source(name)}/wal/`,
  walSystem: (name: string, system: string) => `${source(name)}/wal/${system}/`,
  histories: (name: string, system: string) => `${source(name)}/wal/${system}/history/`,
  history: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/history/${timeline}`,
  /** Says that the history of a timeline is here. */
  walHistoryMark: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/history.json`,
  walTimeline: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/`,
  /** What the folders of a timeline's segments begin with, and nothing beside them does. */
  walSegments: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/${timeline}`,
  walFolder: (name: string, system: string, segment: string) => `${source(name)}/wal/${system}/${segment.slice(0, 8)}/${segment.slice(0, 16)}/`,
  walSegment: (name: string, system: string, segment: string) => `${source(name)}/wal/${system}/${segment.slice(0, 8)}/${segment.slice(0, 16)}/${segment}`,
  walParts: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/parts/`,
  segmentParts: (name: string, system: string, segment: string) => `${source(name)}/wal/${system}/${segment.slice(0, 8)}/parts/${segment}/`,
  walPart: (name: string, system: string, segment: string, from: number, to: number) =>
    `${source(name)}/wal/${system}/${segment.slice(0, 8)}/parts/${segment}/${from.toString(16).padStart(8, "0")}-${to.toString(16).padStart(8, "0")}`,
  walSummaries: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/summaries/`,
  /** `content`: the last part of the name of the segment it was made from. */
  walSummary: (name: string, system: string, segment: string, content: string) => `${source(name)}/wal/${system}/${segment.slice(0, 8)}/summaries/${segment}.${content}`,
  walIndexes: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/index/`,
  walIndex: (name: string, system: string, first: string, last: string) => `${source(name)}/wal/${system}/${first.slice(0, 8)}/index/${first}-${last}.json`,
  walExpired: (name: string, system: string, timeline: string) => `${source(name)}/wal/${system}/${timeline}/expired/`,
  walExpiry: (name: string, system: string, timeline: string, n: number) => `${source(name)}/wal/${system}/${timeline}/expired/${digits(n, 12)}.json`,
  evidence: () => "evidence/",
  writer: (writer: string) => `evidence/${writer}/`,
  evidenceEntry: (writer: string, sequence: number) => `evidence/${writer}/${digits(sequence, 12)}.json`,
  checkpoint: (writer: string, sequence: number) => `evidence/${writer}/${digits(sequence, 12)}.checkpoint.json`,
} as const;

/** The last segment of a key without its ending. */
export function baseName(key: string): string {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return name.endsWith(".json") ? name.slice(0, -5) : name;
}

/** How long an object lives, by what it is. */
export type Life =
  /** As long as a backup. */
  | { readonly kind: "backup"; readonly source: string; readonly backup: string; readonly type: BackupType }
  /** As long as the window it belongs to, or a backup that needs it. */
  | { readonly kind: "wal"; readonly source: string }
  /** As long as anything in the repository: without it nothing can be read. */
  | { readonly kind: "foundation" }
  /** As long as somebody may open the repository with it. */
  | { readonly kind: "envelope" }
  | { readonly kind: "evidence" }
  /** Until it is replaced, or has served. */
  | { readonly kind: "passing" };

export function lifeOf(key: string): Life {
  const [top = "", second = "", third = "", fourth = "", ...rest] = key.split("/");
  if (top === "evidence") return { kind: "evidence" };
  if (key === DESCRIPTOR_KEY || ["hosts", "rotations", "expelled"].includes(top)) return { kind: "foundation" };
  if (top === "keys") return { kind: third === "key.json" ? "foundation" : "envelope" };
  if (top !== "sources") return { kind: "passing" };
  if (third === "bindings") return { kind: "foundation" };
  const backup = fourth.replace(/\.json$/, "");
  const type = typeOfBackupId(backup);
  if ((third === "backups" || third === "manifests") && type !== null) return { kind: "backup", source: second, backup, type };
  return third === "wal" ? lifeOfWal(second, rest) : { kind: "passing" };
}

/** `below`: what follows the system identifier in its key. */
function lifeOfWal(of: string, below: readonly string[]): Life {
  const [first, second = ""] = below;
  if (first === "history" || second === "history.json") return { kind: "foundation" };
  return below.length === 3 && /^[0-9A-F]{16}$/.test(second) ? { kind: "wal", source: of } : { kind: "passing" };
}
