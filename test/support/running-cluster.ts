import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { freePort, startPostmaster } from "./postmaster.ts";
import type { Postmaster, StopMode } from "./postmaster.ts";
import type { Owner } from "./server-user.ts";
import { openSession } from "./session.ts";
import type { Row, Session } from "./session.ts";

/** A PostgreSQL server for one test, running on a folder. Made by `startCluster` and `startOnFolder`. */
export interface ClusterPlace {
  readonly binaries: PostgresBinaries;
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  readonly logFile: string;
  readonly owner: Owner;
  /** Paths of its tablespaces `space1`, `space2`, … */
  readonly tablespaceDirectories: readonly string[];
  /** Given on the command line at every start, so that the folder's own configuration stays what a person would have. */
  readonly settings: Readonly<Record<string, string>>;
  /** More environment for the server, and so for its restore_command. */
  readonly env?: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  /** What goes when the cluster goes. */
  readonly resources: AsyncDisposableStack;
}

const START_ATTEMPTS = 5;
const POLL_MS = 25;
const LOG_LINES = 40;

export class Cluster implements AsyncDisposable {
  readonly place: ClusterPlace;
  #port = 0;
  #postmaster: Postmaster | null = null;
  /** Why it did not answer the last time: the only clue where its log holds none. */
  #refusal: unknown = null;

  constructor(place: ClusterPlace) {
    this.place = place;
  }

  get major(): number {
    return this.place.binaries.major;
  }
  get binaries(): PostgresBinaries {
    return this.place.binaries;
  }
  get dataDirectory(): string {
    return this.place.dataDirectory;
  }
  get logFile(): string {
    return this.place.logFile;
  }
  get port(): number {
    return this.#port;
  }
  get isRunning(): boolean {
    return this.#postmaster?.hasEnded === false;
  }

  url(database = "postgres"): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/${encodeURIComponent(database)}`;
  }

  async connect(database = "postgres"): Promise<Session> {
    return openSession(this.url(database));
  }

  /** One statement over a connection of its own; values are PostgreSQL's text. */
  async sql(text: string, database = "postgres"): Promise<Row[]> {
    await using session = await this.connect(database);
    return await session.rows(text);
  }

  /** Starts, on a free port the first time and on the same one ever after, and waits until it accepts connections (`settings` for this start only). Rejects with the end of the server's log. */
  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.isRunning) throw new Error("the cluster runs already");
    const isFirst = this.#port === 0;
    for (let attempt = 1; ; attempt++) {
      const logBefore = (await this.log()).length;
      if (isFirst) this.#port = await freePort();
      this.#postmaster = await startPostmaster({ ...this.place, program: `${this.place.binaries.directory}/postgres`, settings: this.#settingsOfStart(settings) });
      if (await this.#accepts(this.#postmaster)) return;
      const log = (await this.log()).slice(logBefore);
      if (attempt === START_ATTEMPTS || !/could not bind|already in use/i.test(log)) throw new Error(`PostgreSQL ${this.binaries.version} did not start:\n${lastLines(log)}`);
    }
  }

  async stop(mode: StopMode = "fast"): Promise<void> {
    await this.#postmaster?.stop(mode);
  }

  async restart(mode: StopMode = "fast", settings: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.stop(mode);
    await this.start(settings);
  }

  /** The server and all its processes die at once. `start()` then recovers. */
  async kill9(): Promise<void> {
    await this.#postmaster?.kill9();
  }

  async promote(): Promise<void> {
    const [row] = await this.sql("select pg_promote(true, 60) as promoted");
    if (row?.["promoted"] !== "t") throw new Error(`promotion did not end in time:\n${lastLines(await this.log())}`);
  }

  /** Resolves when the server left recovery; rejects, with the log, if it ended or still recovers after the start time-out. */
  async leftRecovery(): Promise<void> {
    await using session = await this.connect();
    await this.#poll(async () => (await session.value("select pg_is_in_recovery()")) === "f", "did not leave recovery");
  }

  async log(): Promise<string> {
    return readFile(this.logFile, "utf8").catch(() => ""); // nothing written yet
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const postmaster = this.#postmaster;
    this.#postmaster = null;
    try {
      await postmaster?.stop("immediate");
    } finally {
      await postmaster?.kill9();
      await postmaster?.releaseSharedMemory();
      await this.place.resources.disposeAsync();
    }
  }

  #settingsOfStart(extra: Readonly<Record<string, string>>): Record<string, string> {
    return { ...this.place.settings, ...extra, port: String(this.#port), listen_addresses: "127.0.0.1", unix_socket_directories: this.place.socketDirectory };
  }

  /** False if it ended before it accepted a connection. */
  async #accepts(postmaster: Postmaster): Promise<boolean> {
    await this.#poll(async () => postmaster.hasEnded || (await this.#answers()), "accepts no connections");
    return !postmaster.hasEnded;
  }

  async #answers(): Promise<boolean> {
    try {
      await this.sql("select 1");
      return true;
    } catch (error) {
      this.#refusal = error;
      return false;
    }
  }

  async #poll(isDone: () => Promise<boolean>, complaint: string): Promise<void> {
    const deadline = performance.now() + this.place.startTimeoutMs;
    while (!(await isDone())) {
      if (performance.now() > deadline)
        throw new Error(`PostgreSQL ${this.binaries.version} ${complaint} within ${this.place.startTimeoutMs / 1000} s:\n${lastLines(await this.log())}`, { cause: this.#refusal });
      await delay(POLL_MS);
    }
  }
}

function lastLines(log: string): string {
  return log.trimEnd().split("\n").slice(-LOG_LINES).join("\n");
}
