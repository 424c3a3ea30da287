import pg from "pg";

/** Columns as PostgreSQL's own text, so that a comparison never depends on how a driver reads a type. */
export type Row = Record<string, string | null>;

const CONNECT_TIMEOUT_MS = 10_000;

/** One connection that closes itself. */
export class Session implements AsyncDisposable {
  readonly client: pg.Client;

  constructor(client: pg.Client) {
    this.client = client;
  }

  async rows(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const result = await this.client.query<Row>({ text, ...(values.length > 0 ? { values: [...values] } : {}), types: { getTypeParser: () => (value: string) => value } });
    return result.rows;
  }

  async row(text: string, values: readonly unknown[] = []): Promise<Row> {
    const [row] = await this.rows(text, values);
    if (row === undefined) throw new Error(`no row from ${text}`);
    return row;
  }

  /** The only column of the only row. */
  async value(text: string, values: readonly unknown[] = []): Promise<string> {
    const [value] = Object.values(await this.row(text, values));
    if (value === null || value === undefined) throw new Error(`no value from ${text}`);
    return value;
  }

  /** Each statement on its own: VACUUM and CREATE DATABASE refuse to run beside another. */
  async each(statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.rows(statement);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.end().catch(() => undefined); // the server may be gone: then it is closed
  }
}

export async function openSession(url: string): Promise<Session> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on("error", () => undefined); // a server killed under us: the query that runs next says so
  await client.connect();
  return new Session(client);
}

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${encodeURIComponent(database)}`;
  return other.toString();
}

export const identifier = (name: string): string => pg.escapeIdentifier(name);
export const literal = (value: string): string => pg.escapeLiteral(value);
