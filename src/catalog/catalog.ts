import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { isoTime } from "../domain/iso-time.ts";
import { HoldfastError } from "../errors.ts";
import { MIGRATIONS } from "./migrations.ts";

/** Used only as far as it is needed. */
const CACHE_KIB = 32 * 1024;

/**
 * The catalog: what the repositories and the evidence log say, in a form that can be asked quickly. A cache: it can be deleted and rebuilt. All its SQL is in this folder.
 */
export class Catalog implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, Prepared>();
  readonly #kept = new Map<string, number>();
  readonly #listStatements = new Map<string, Prepared>();

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Opens (or makes) the catalog and brings it to the current form. Several processes may have it open. */
  static open(file: string): Catalog {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(file);
    // The time to wait comes first: to switch the journal takes a lock too, which whoever closes it at this moment has.
    database.exec("pragma busy_timeout = 10000; pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on");
    // Years of a thousand sources are more than a gigabyte, and most questions are about their newest days.
    database.exec(`pragma cache_size = -${CACHE_KIB}`);
    const catalog = new Catalog(database);
    catalog.#migrate();
    return catalog;
  }

  /** How many rows it changed. */
  run(sql: string, values: Record<string, SqlValue>): number {
    const { statement, names } = this.#prepare(sql);
    return Number(statement.run(...inOrder(names, values)).changes);
  }

  all(sql: string, values: Record<string, SqlValue> = {}): SqlRow[] {
    const { statement, names } = this.#prepare(sql);
    return statement.all(...inOrder(names, values)) as SqlRow[];
  }

  /** A number that never changes once it is there, read at the first time only. Whatever a transaction that is taken back has read is forgotten with it. */
  keepNumber(key: string, read: () => number): number {
    let number = this.#kept.get(key);
    if (number === undefined) this.#kept.set(key, (number = read()));
    return number;
  }

  /** As above, each row as the list of its columns: for what is read by the million. */
  lists(sql: string, values: Record<string, SqlValue> = {}): SqlValue[][] {
    const { statement, names } = this.#prepare(sql, true);
    return statement.all(...inOrder(names, values)) as unknown as SqlValue[][];
  }

  /** Everything that `act` reads is as it is now, whatever other processes write meanwhile. Nothing may be written here in between. */
  async readTogether<T>(act: () => Promise<T>): Promise<T> {
    this.#database.exec("begin");
    try {
      // The moment is that of the first look.
      this.#database.prepare("select count(*) from applied").get();
      return await act();
    } finally {
      this.#database.exec("commit");
    }
  }

  /** All or nothing, also against other processes. Within another it is part of that one. */
  transaction<T>(act: () => T): T {
    if (this.#isInTransaction()) return act();
    this.#database.exec("begin immediate");
    try {
      const result = act();
      this.#database.exec("commit");
      return result;
    } catch (error) {
      this.#kept.clear();
      // Where the disk is full SQLite has rolled back by itself, and what it said first is what matters.
      if (this.#isInTransaction()) this.#database.exec("rollback");
      throw error;
    }
  }

  /** Asked anew each time: what runs in between changes it. */
  #isInTransaction(): boolean {
    return this.#database.isTransaction;
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #prepare(sql: string, asLists = false): Prepared {
    const statements = asLists ? this.#listStatements : this.#statements;
    let prepared = statements.get(sql);
    if (prepared === undefined) {
      const { numbered, names } = numberParameters(sql);
      const statement = this.#database.prepare(numbered);
      statement.setReturnArrays(asLists);
      statements.set(sql, (prepared = { statement, names }));
    }
    return prepared;
  }

  #migrate(): void {
    this.transaction(() => {
      const { user_version: at } = this.#database.prepare("pragma user_version").get() as { user_version: number };
      if (at > MIGRATIONS.length)
        throw new HoldfastError("HF-CONFIG", "the catalog was written by a newer version of holdfast", {
          hint: "use that version, or delete the catalog and run 'holdfast catalog rebuild'",
        });
      for (const migration of MIGRATIONS.slice(at)) this.#database.exec(migration);
      this.#database.exec(`pragma user_version = ${MIGRATIONS.length}`);
    });
  }
}

interface Prepared {
  readonly statement: StatementSync;
  /** Of its parameters, in their order. */
  readonly names: readonly string[];
}

/** `:name` as `?1`: to bind by place takes half the time of a small statement, and those are what the catalog does most. */
function numberParameters(sql: string): { numbered: string; names: string[] } {
  const names: string[] = [];
  const numbered = sql.replaceAll(/'[^']*'|:([a-z]\w*)/gi, (found, name: string | undefined) => {
    if (name === undefined) return found;
    if (!names.includes(name)) names.push(name);
    return `?${names.indexOf(name) + 1}`;
  });
  return { numbered, names };
}

function inOrder(names: readonly string[], values: Record<string, SqlValue>): SqlValue[] {
  const ordered: SqlValue[] = [];
  for (const name of names) {
    const value = values[name];
    if (value === undefined) throw new HoldfastError("HF-BUG", `a statement of the catalog lacks its value "${name}"`);
    ordered.push(value);
  }
  return ordered;
}

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

export function textOf(row: SqlRow, column: string): string {
  const value = row[column];
  return value === null || value === undefined ? "" : String(value);
}

export function textOrNull(row: SqlRow, column: string): string | null {
  const value = row[column];
  return value === null || value === undefined ? null : String(value);
}

/** A time as it is kept in what has many rows: milliseconds since 1970, a third of the text. Outside the catalog it is text. */
export function timeValue(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new HoldfastError("HF-BUG", `not a time: ${text}`);
  return ms;
}

/** As above, for what may be unknown. */
export function timeValueOrNull(text: string | null): number | null {
  return text === null ? null : timeValue(text);
}

export function timeOf(row: SqlRow, column: string): string {
  return isoTime(Number(row[column]));
}

export function timeOrNull(row: SqlRow, column: string): string | null {
  const value = row[column];
  return value === null || value === undefined ? null : isoTime(Number(value));
}

export function numberOrNull(row: SqlRow, column: string): number | null {
  const value = row[column];
  return value === null || value === undefined ? null : Number(value);
}
