/** A database of a cluster, as its catalog had it when the backup began. */
interface KnownDatabase {
  readonly oid: number;
  readonly name: string;
}

export interface DatabaseSelection {
  readonly leftOut: readonly KnownDatabase[];
  /** Names that were asked for and are not there. */
  readonly unknown: readonly string[];
}

/** Oids below are given by initdb: without them there is no cluster. */
const FIRST_NORMAL_OID = 16_384;
const ALWAYS = new Set(["postgres", "template0", "template1"]);

/** What is left out where only some databases are wanted. One that is made while WAL is replayed is not known here, and is what WAL makes it. */
export function selectDatabases(databases: readonly KnownDatabase[], wanted: readonly string[]): DatabaseSelection {
  const names = new Set(wanted);
  return {
    leftOut: databases.filter(({ oid, name }) => oid >= FIRST_NORMAL_OID && !ALWAYS.has(name) && !names.has(name)),
    unknown: wanted.filter((name) => !databases.some((database) => database.name === name)),
  };
}

/**
 * Whether a file is one of these databases' content: what it holds is not restored, only how long it is. Its directory must be one of a database of this version, or recovery would not touch it.
 */
export function isContentOf(path: string, oids: ReadonlySet<number>): boolean {
  const [, oid, file] = /^(?:base|pg_tblspc\/\d+\/PG_[^/]+)\/(\d+)\/(.+)$/.exec(path) ?? [];
  return oid !== undefined && file !== "PG_VERSION" && oids.has(Number(oid));
}

/** What is left to do once the cluster is open: the databases are names without content, and recovery was told to let their pages be. */
export function sqlAfterSelection({ leftOut }: Pick<DatabaseSelection, "leftOut">): string[] {
  if (leftOut.length === 0) return [];
  return [...leftOut.map(({ name }) => `drop database "${name.replaceAll('"', '""')}";`), "alter system reset ignore_invalid_pages;"];
}
