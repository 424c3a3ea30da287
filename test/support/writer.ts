import { setTimeout as delay } from "node:timers/promises";
import { parseLsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import { Random } from "./random.ts";
import { prose } from "./realistic-rows.ts";
import type { Cluster } from "./running-cluster.ts";
import type { Row, Session } from "./session.ts";

/**
 * An application that never stops writing, and remembers outside the database what it was promised.
 * Every write has a number and is one transaction: a numbered row, and a counter that it moves. After a restore to some point, each promise
 * made before that point must be kept, and nothing written after it may be there.
 */
export interface Acknowledged {
  readonly sequence: number;
  /** When the promise arrived here. */
  readonly at: Date;
  /** The commit record lies after `from` and ends at or before `to`: the insert position within the transaction, and in the statement that followed. */
  readonly from: Lsn;
  /** Null where the server died between the promise and that statement. */
  readonly to: Lsn | null;
}

export interface WriterReport {
  readonly acknowledged: readonly Acknowledged[];
  /** Sent, and never answered: they may be there or not. */
  readonly unanswered: readonly number[];
  /** How often a connection was lost or refused. */
  readonly lost: number;
}

export interface Writer extends AsyncDisposable {
  /** Numbers acknowledged so far. */
  count(): number;
  /** Resolves when so many more writes are acknowledged. */
  more(writes: number): Promise<void>;
  stop(): Promise<WriterReport>;
}

export interface WriterOptions {
  readonly connections: number;
  /** Of all connections together; as fast as they can by default. */
  readonly ratePerSecond?: number;
  readonly database?: string;
  /** Where numbers begin: another writer on the same table begins after the one before. */
  readonly firstSequence?: number;
}

const RECONNECT_MS = 50;
const COUNTERS = 200;

const WRITE = `with moved as (update writer_counters set value = value + 1, last = $1 where id = $2 returning value)
  insert into written (sequence, connection, counter_value, note) select $1, $3, moved.value, $4 from moved returning pg_current_wal_insert_lsn() as lsn`;

export async function startWriter(cluster: Pick<Cluster, "connect">, options: WriterOptions): Promise<Writer> {
  const database = options.database ?? "postgres";
  await createTables(cluster, database);
  const run = new Run(cluster, database, options);
  const loops = Array.from({ length: options.connections }, async (_, connection) => run.loop(connection));
  const stop = async (): Promise<WriterReport> => {
    run.stopping.abort();
    await Promise.all(loops);
    return { acknowledged: run.acknowledged, unanswered: run.unanswered, lost: run.lost };
  };
  return {
    count: () => run.acknowledged.length,
    more: async (writes) => {
      const enough = run.acknowledged.length + writes;
      while (run.acknowledged.length < enough && !run.stopping.signal.aborted) await delay(5);
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

/** The numbers that a database holds, in order. */
export async function writtenIn(session: Session): Promise<number[]> {
  return (await session.rows("select sequence from written order by sequence")).map((row: Row) => Number(row["sequence"]));
}

/** Promises broken by a database recovered to `target` (null: to the end). Both lists must be empty. */
export function brokenPromises(report: WriterReport, present: readonly number[], target: Lsn | null): { missing: Acknowledged[]; unexpected: Acknowledged[] } {
  const there = new Set(present);
  const missing = report.acknowledged.filter((write) => !there.has(write.sequence) && (target === null || (write.to !== null && write.to <= target)));
  const unexpected = report.acknowledged.filter((write) => there.has(write.sequence) && target !== null && write.from > target);
  return { missing, unexpected };
}

/** 0, unless a transaction of the writer was restored in part: each moves one counter by one and leaves one row. */
export async function tornWrites(session: Session): Promise<number> {
  return Number(await session.value("select (select coalesce(sum(value), 0) from writer_counters) - (select count(*) from written)"));
}

class Run {
  readonly acknowledged: Acknowledged[] = [];
  readonly unanswered: number[] = [];
  readonly stopping = new AbortController();
  lost = 0;
  readonly #cluster: Pick<Cluster, "connect">;
  readonly #database: string;
  readonly #pauseMs: number;
  #next: number;

  constructor(cluster: Pick<Cluster, "connect">, database: string, options: WriterOptions) {
    this.#cluster = cluster;
    this.#database = database;
    this.#pauseMs = options.ratePerSecond === undefined ? 0 : (options.connections * 1000) / options.ratePerSecond;
    this.#next = options.firstSequence ?? 1;
  }

  /** Writes until stopped; a server that dies or restarts is waited for. */
  async loop(connection: number): Promise<void> {
    const random = new Random(`writer/${connection}`);
    while (!this.#isStopping()) {
      try {
        await using session = await this.#cluster.connect(this.#database);
        while (!this.#isStopping()) await this.#write(session, connection, random);
      } catch {
        this.lost++; // the server is away: what was in flight is in `unanswered`
        await delay(RECONNECT_MS);
      }
    }
  }

  #isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  async #write(session: Session, connection: number, random: Random): Promise<void> {
    const started = performance.now();
    const sequence = this.#next++;
    const from = await this.#commit(session, [sequence, random.integer(1, COUNTERS), connection, prose(random, random.integer(5, 25))]);
    const promise = { sequence, at: new Date(), from };
    try {
      this.acknowledged.push({ ...promise, to: parseLsn(await session.value("select pg_current_wal_insert_lsn()")) });
    } catch (error) {
      this.acknowledged.push({ ...promise, to: null });
      throw error;
    }
    const left = this.#pauseMs - (performance.now() - started);
    if (left > 0) await delay(left, undefined, { signal: this.stopping.signal }).catch(() => undefined); // stopping ends the pause
  }

  async #commit(session: Session, values: readonly [number, ...unknown[]]): Promise<Lsn> {
    try {
      return parseLsn((await session.row(WRITE, values))["lsn"] ?? "");
    } catch (error) {
      this.unanswered.push(values[0]);
      throw error;
    }
  }
}

async function createTables(cluster: Pick<Cluster, "connect">, database: string): Promise<void> {
  await using session = await cluster.connect(database);
  await session.each([
    "create table if not exists written (sequence bigint primary key, connection int not null, counter_value bigint not null, note text not null, at timestamptz not null default clock_timestamp())",
    "create table if not exists writer_counters (id int primary key, value bigint not null, last bigint)",
    `insert into writer_counters (id, value) select i, 0 from generate_series(1, ${COUNTERS}) as i on conflict do nothing`,
  ]);
}
