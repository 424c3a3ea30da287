import { to as copyTo } from "pg-copy-streams";
import type pg from "pg";
import { codeOf, HoldfastError } from "../errors.ts";
import type { ByteRange, ClusterReader } from "./cluster-reader.ts";
import { FolderListing } from "./folder-listing.ts";
import { connect, escapeLiteral, queryError, queryRows } from "./connection.ts";
import type { Connection, ConnectionTarget } from "./connection.ts";
import { copyRows } from "./copy-rows.ts";
import { assertSameServer, readIdentity } from "./server-identity.ts";
import type { ServerIdentity } from "./server-identity.ts";

/** A copy that a standby cancelled because of a recovery conflict, or a time-out meant for queries: the range is simply read again. */
const RETRIED_SQL_STATES = new Set(["40001", "57014"]);
const MAX_ATTEMPTS = 5;

/**
 * Reads a cluster over ordinary SQL connections with `pg_read_binary_file`: no agent, no superuser. Each copy is short (one batch), because it pins xmin while it runs,
 * and never inside an explicit transaction.
 */
export async function openRemoteReader(target: ConnectionTarget, identity: ServerIdentity, connections: number): Promise<ClusterReader> {
  const pool: Connection[] = [];
  try {
    for (let i = 0; i < connections; i++) {
      const connection = await connect(target, { purpose: "read" });
      pool.push(connection);
      assertSameServer(identity, await readIdentity(connection.client));
      await connection.client.query("set statement_timeout = 0");
    }
  } catch (error) {
    await Promise.all(pool.map((connection) => connection[Symbol.asyncDispose]()));
    throw error;
  }
  const free = [...pool];
  const waiting: ((connection: Connection) => void)[] = [];
  const nextFree = (): Promise<Connection> =>
    new Promise((resolve) => {
      waiting.push(resolve);
    });
  const withConnection = async <T>(use: (client: pg.Client) => Promise<T>): Promise<T> => {
    const connection = free.pop() ?? (await nextFree());
    try {
      connection.lost.throwIfAborted();
      return await use(connection.client);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free.push(connection);
      else next(connection);
    }
  };
  return {
    kind: "remote",
    list: (folder) => withConnection((client) => listFolder(client, folder)),
    read: (ranges, signal) => withConnection((client) => readWithRetries(client, ranges, signal)),
    reuse: () => undefined,
    assertSameServer: async () => {
      for (const connection of pool) assertSameServer(identity, await readIdentity(connection.client));
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(pool.map((connection) => connection[Symbol.asyncDispose]()));
    },
  };
}

/** `pg_stat_file` follows links, so they cannot be seen; a name that vanished in between has no row of it. */
const LIST_SQL = `
  select f.name, s.isdir::text as is_folder, s.size::text as size
  from pg_ls_dir($1, true, false) as f(name), lateral pg_stat_file($2 || f.name, true) as s
  where s.isdir is not null`;

async function listFolder(client: pg.Client, folder: string): Promise<FolderListing> {
  const rows = await queryRows(client, LIST_SQL, [folder === "" ? "." : folder, folder === "" ? "" : `${folder}/`]);
  const found = new FolderListing();
  for (const row of rows) found.add({ name: row["name"] ?? "", isFolder: row["is_folder"] === "true", linkTarget: null, size: Number(row["size"]) });
  return found;
}

async function readWithRetries(client: pg.Client, ranges: readonly ByteRange[], signal: AbortSignal): Promise<(Buffer | null)[]> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await readRanges(client, ranges);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !RETRIED_SQL_STATES.has(codeOf(error) ?? "")) throw queryError(error);
    }
  }
}

async function readRanges(client: pg.Client, ranges: readonly ByteRange[]): Promise<(Buffer | null)[]> {
  if (ranges.length === 0) return [];
  const values = ranges.map(({ path, offset, length }, i) => `(${i},${escapeLiteral(path)},${offset}::int8,${length}::int8)`);
  const sql = `copy (select i, pg_read_binary_file(p, o, l, true) from (values ${values.join(",")}) as r(i, p, o, l)) to stdout (format binary)`;
  const results: (Buffer | null)[] = [];
  for await (const [index, bytes] of copyRows(client.query(copyTo(sql)))) {
    if (index?.readInt32BE(0) !== results.length) throw new HoldfastError("HF-SESSION-LOST", "the server answered ranges out of order");
    results.push(bytes ?? null);
  }
  if (results.length !== ranges.length) throw new HoldfastError("HF-SESSION-LOST", `asked for ${ranges.length} ranges, got ${results.length}`);
  return results;
}
