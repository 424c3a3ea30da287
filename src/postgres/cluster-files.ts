/**
 * What the files of a data directory are, and which of them belong in a backup (PostgreSQL's basebackup.c, storage/file/reinit.c). Pure: names in, decisions out.
 */
type Fork = "main" | "fsm" | "vm" | "init";

interface RelationFile {
  readonly kind: "relation";
  /** `<tablespace>/<database>/<relfilenode>`: how WAL names the relation. Database 0 in `global`. */
  readonly relation: string;
  readonly fork: Fork;
  /** Number of the segment file: block 0 of it is block `segment × segmentBlocks` of the fork. */
  readonly segment: number;
}

export type ClusterFile = RelationFile | { readonly kind: "other" };

const DEFAULT_TABLESPACE = "1663";
const GLOBAL_TABLESPACE = "1664";
const RELATION = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/;
const TEMPORARY_RELATION = /^t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/;

export function classify(path: string): ClusterFile {
  const match = /^(?:(global)|base\/(\d+)|pg_tblspc\/(\d+)\/PG_[^/]+\/(\d+))\/([^/]+)$/.exec(path);
  const name = match === null ? null : RELATION.exec(match[5] ?? "");
  if (match === null || name === null) return { kind: "other" };
  const tablespace = match[1] !== undefined ? GLOBAL_TABLESPACE : (match[3] ?? DEFAULT_TABLESPACE);
  const database = match[1] !== undefined ? "0" : (match[2] ?? match[4] ?? "0");
  return { kind: "relation", relation: `${tablespace}/${database}/${name[1]}`, fork: (name[2] ?? "main") as Fork, segment: Number(name[3] ?? 0) };
}

/** Folders that are recreated empty: what is in them belongs to the running server, or (pg_wal) comes from the archive. */
const EMPTY_FOLDERS = new Set(["pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"]);

/** Folders every data directory has. Anything else at the top is read too, within limits. */
export const KNOWN_FOLDERS = ["base", "global", "pg_tblspc"] as const;

const SKIPPED_FILES = new Set([
  "postmaster.pid",
  "postmaster.opts",
  "backup_label",
  "backup_label.old",
  "tablespace_map",
  "tablespace_map.old",
  "backup_manifest",
  "recovery.signal",
  "standby.signal",
  "recovery.conf",
  "recovery.done",
  "postgresql.auto.conf.tmp",
  "current_logfiles",
  "current_logfiles.tmp",
  "holdfast-restore.incomplete",
]);

export type Inclusion = "take" | "empty" | "skip";

/** Whether an entry goes into the backup; `empty`: the folder, without its content. `logFolder` is the server's log directory, if inside. */
export function inclusionOf(path: string, isFolder: boolean, logFolder: string | null): Inclusion {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const atTop = !path.includes("/");
  if (isFolder) {
    if (name.startsWith("pgsql_tmp")) return "skip";
    if (atTop && path === "holdfast-wal") return "skip";
    return (atTop && EMPTY_FOLDERS.has(path)) || path === logFolder ? "empty" : "take";
  }
  if (atTop && SKIPPED_FILES.has(name)) return "skip";
  // pg_internal.init is a cache that may be stale; temporary files die with their session.
  if (name.startsWith("pg_internal.init") || name.startsWith("pgsql_tmp")) return "skip";
  if (TEMPORARY_RELATION.test(name) && classify(path.replace(name, "1")).kind === "relation") return "skip";
  return "take";
}

/** Only our own folder of a tablespace: others in the same place belong to other clusters or versions. */
export function tablespaceFolder(major: number, catalogVersion: number): string {
  return `PG_${major}_${catalogVersion}`;
}

/** The base name of a relation fork file, to look for the `_init` fork that makes a relation unlogged. */
export function unloggedKey(path: string): { init: string; isMainSide: boolean } | null {
  const file = classify(path);
  if (file.kind !== "relation") return null;
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  return { init: `${folder}${file.relation.slice(file.relation.lastIndexOf("/") + 1)}_init`, isMainSide: file.fork !== "init" };
}
