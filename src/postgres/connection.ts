import pg from "pg";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";

/** How to reach a server. The URL holds a password: it is never printed; `describe` is what messages use. */
export interface ConnectionTarget {
  readonly url: string;
}

export interface ConnectOptions {
  /** Physical replication: only replication commands, in the simple protocol. */
  readonly replication?: boolean;
  /** Another database of the same server. */
  readonly database?: string;
  readonly purpose: string;
}

const CONNECT_TIMEOUT_MS = 15_000;

/** An open connection that closes itself at the end of an `await using` block. */
export interface Connection extends AsyncDisposable {
  readonly client: pg.Client;
  /** Aborted when the connection is lost, with the reason. */
  readonly lost: AbortSignal;
}

export async function connect(target: ConnectionTarget, options: ConnectOptions): Promise<Connection> {
  const lost = new AbortController();
  const client = new pg.Client({
    connectionString: target.url,
    ...(options.database === undefined ? {} : { connectionString: urlOfDatabase(target, options.database) }),
    application_name: `holdfast ${options.purpose}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...(options.replication === true ? { replication: "true" } : {}),
  });
  const onLost = (cause: unknown): void =>
    lost.abort(
      new HoldfastError("HF-SESSION-LOST", `the connection to ${describe(target)} was lost (${messageOf(cause)})`, { hint: "run it again when the server is back", cause }),
    );
  client.on("error", onLost);
  client.on("end", () => onLost(new Error("closed")));
  try {
    await client.connect();
  } catch (error) {
    throw connectError(target, error);
  }
  return {
    client,
    lost: lost.signal,
    [Symbol.asyncDispose]: async () => {
      await client.end().catch(() => undefined);
    },
  };
}

/** Put into the address as text: one of a socket has no host, and so is none for URL. The driver takes back what `encodeURI` writes, and no more. */
export function urlOfDatabase(target: ConnectionTarget, database: string): string {
  const name = encodeURI(database);
  return target.url.replace(/^([a-z]+:\/\/[^/?#]*)(?:\/[^?#]*)?/, (_, server: string) => `${server}/${name}`);
}

/** `host:port/database` without user or password. */
function describe(target: ConnectionTarget): string {
  try {
    const url = new URL(target.url);
    const host = url.searchParams.get("host") ?? decodeURIComponent(url.hostname);
    return `${host === "" ? "localhost" : host}:${url.port === "" ? (url.searchParams.get("port") ?? "5432") : url.port}${url.pathname}`;
  } catch {
    return "the server";
  }
}

function connectError(target: ConnectionTarget, cause: unknown): HoldfastError {
  const code = codeOf(cause);
  const facts = { server: describe(target), code };
  if (code === "28P01" || code === "28000")
    return new HoldfastError("HF-CONNECT", `${describe(target)} refuses us: ${messageOf(cause)}`, {
      hint: "check user, password and pg_hba.conf (streaming needs a 'replication' line)",
      facts,
      cause,
    });
  return new HoldfastError("HF-CONNECT", `cannot connect to ${describe(target)}: ${messageOf(cause)}`, {
    hint: "check that the server runs and that address and port are right",
    facts,
    cause,
  });
}

/** One row that must be there, with columns as PostgreSQL's text (null where null). */
export async function queryRow(client: pg.Client, sql: string, values: readonly unknown[] = []): Promise<Record<string, string | null>> {
  const [row] = await queryRows(client, sql, values);
  if (row === undefined) throw new HoldfastError("HF-SERVER", `the server gave no answer to ${sql.slice(0, 60)}`);
  return row;
}

export async function queryRows(client: pg.Client, sql: string, values: readonly unknown[] = []): Promise<Record<string, string | null>[]> {
  try {
    const result = await client.query<Record<string, string | null>>({
      text: sql,
      ...(values.length > 0 ? { values: [...values] } : {}),
      types: { getTypeParser: () => (value: string) => value },
    });
    return result.rows;
  } catch (error) {
    throw queryError(error);
  }
}

/** What PostgreSQL answers to a query of ours, in our words. The SQL is ours and holds no secrets. */
export function queryError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const code = codeOf(error);
  if (code === "42501")
    return new HoldfastError("HF-SERVER", `the role lacks a privilege: ${messageOf(error)}`, {
      hint: "run the grants that 'holdfast check SOURCE' prints",
      facts: { sqlState: code },
      cause: error,
    });
  return new HoldfastError("HF-SERVER", messageOf(error), { facts: { sqlState: code }, cause: error });
}

/** The text of a column that must not be null. */
export function text(row: Record<string, string | null>, column: string): string {
  const value = row[column];
  if (value === null || value === undefined) throw new HoldfastError("HF-SERVER", `the server left ${column} empty`);
  return value;
}

export const escapeLiteral = (value: string): string => pg.escapeLiteral(value);
export const escapeIdentifier = (value: string): string => pg.escapeIdentifier(value);
