import type { Lsn } from "../../domain/lsn.ts";
import { alignRecord, formatLsn } from "../../domain/lsn.ts";
import { contiguousFrom } from "../../domain/wal-coverage.ts";
import { parseSegmentName, segmentStart } from "../../domain/wal-segment.ts";
import { HoldfastError, must } from "../../errors.ts";
import { tablespaceFolder } from "../../postgres/cluster-files.ts";
import type { ClusterReader } from "../../postgres/cluster-reader.ts";
import { queryRows, text } from "../../postgres/connection.ts";
import { CopiedDatabases } from "../../postgres/copied-databases.ts";
import { WalWalker } from "../../postgres/wal-records.ts";
import type { Repository } from "../../repository/repository.ts";
import { readListedWal } from "../../repository/listed-wal.ts";
import { listWal } from "../../repository/wal-archive.ts";
import type pg from "pg";
import type { ClusterState } from "../cluster-state.ts";
import type { WalNeed } from "./wal-wait.ts";

const DEFAULT_TABLESPACE = "1663";

/** Databases that there are for everybody, as `tablespace/database`: with the tablespace each lives in. */
export async function readDatabasePlaces(client: pg.Client): Promise<ReadonlySet<string>> {
  const rows = await queryRows(client, "select dattablespace::text || '/' || oid::text as place from pg_database");
  return new Set(rows.map((row) => text(row, "place")));
}

/**
 * OIDs of databases whose own folder is there now and was of no database that everybody saw when the backup began: made or moved since, or at that very time. A database is made in its folder
 * first, so that none is overlooked whose making is in WAL already. Folders of databases that live elsewhere and only have some relations here have no version file.
 */
export async function findMadeDatabases(
  reader: ClusterReader,
  known: ReadonlySet<string>,
  { major, catalogVersion }: ClusterState["facts"],
  signal: AbortSignal,
): Promise<number[]> {
  const tablespaces = [...(await reader.list("pg_tblspc"))]
    .filter(isNumbered)
    .map(({ name }) => ({ tablespace: name, folder: `pg_tblspc/${name}/${tablespaceFolder(major, catalogVersion)}` }));
  const made = new Set<number>();
  for (const { tablespace, folder } of [{ tablespace: DEFAULT_TABLESPACE, folder: "base" }, ...tablespaces])
    for (const { name } of [...(await reader.list(folder))].filter(isNumbered)) {
      if (known.has(`${tablespace}/${name}`)) continue;
      const [version] = await reader.read([{ path: `${folder}/${name}/PG_VERSION`, offset: 0, length: 16 }], signal);
      if (version !== null && version !== undefined && version.length > 0) made.add(Number(name));
    }
  return [...made];
}

const isNumbered = ({ name, isFolder }: { name: string; isFolder: boolean }): boolean => isFolder && /^\d{1,10}$/.test(name);

/** Refuses a backup from which recovery would make one of the databases wrong, by the WAL from its start to its end in a repository that holds all of it. Rejects with `HF-SOURCE-CHANGED`. */
export async function requireSoundDatabases(repository: Repository, need: WalNeed, made: readonly number[], signal: AbortSignal): Promise<void> {
  if (made.length === 0) return;
  if (!repository.keyRing.canOpenData) throw refusal(`database ${made.join(", ")} was made, and this host cannot open the WAL that says how`);
  const copied = new CopiedDatabases(need.from, made);
  const reached = await walk(repository, need, copied, signal);
  const finding =
    copied.finding() ?? (reached >= need.to ? null : `database ${made.join(", ")} was made, and the WAL that says how cannot be followed beyond ${formatLsn(reached)}`);
  if (finding !== null) throw refusal(finding);
}

function refusal(what: string): HoldfastError {
  return new HoldfastError("HF-SOURCE-CHANGED", `while the backup ran ${what}: recovery would not make it as it was`, {
    hint: "run the backup again, when databases are not being copied or moved; CREATE DATABASE … STRATEGY wal_log (the default from PostgreSQL 15 on) never stands in the way",
  });
}

/** Shows the records of the range to `copied`. Returns how far they could be followed. */
async function walk(repository: Repository, { place, history, from, to }: WalNeed, copied: CopiedDatabases, signal: AbortSignal): Promise<Lsn> {
  const { segmentBytes } = place;
  const inventory = await listWal(repository, place);
  const startOf = (name: string): Lsn => segmentStart(must(parseSegmentName(name, segmentBytes), "a segment"), segmentBytes);
  const names = contiguousFrom(inventory, history, from).names.filter((name) => startOf(name) < to);
  const [first] = names;
  if (first === undefined) return from;
  const walker = new WalWalker(startOf(first), { segmentBytes, checkCrc: true, visit: (record) => copied.visit(record) });
  for (const name of names) {
    signal.throwIfAborted();
    walker.push(await readListedWal(repository, place, inventory, name));
  }
  return walker.lastEnd === null ? from : alignRecord(walker.lastEnd);
}
