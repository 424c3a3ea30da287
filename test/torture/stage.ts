import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseLsn } from "../../src/domain/lsn.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Running, Site } from "../support/site.ts";
import { Random } from "../support/random.ts";
import type { CrashOrder, SeedPlan } from "./plan.ts";
import { Tally } from "./tally.ts";
import { Truth } from "./truth.ts";

/** One seed on its way: the source, Holdfast around it, what is known for sure, and what has been counted. */
export class Stage implements AsyncDisposable {
  readonly plan: SeedPlan;
  readonly source: Cluster;
  readonly site: Site;
  readonly truth = new Truth();
  readonly tally = new Tally();
  readonly random: Random;
  /** What was done, for whoever looks at a failure. */
  readonly story: string[] = [];
  #stream: { readonly running: Running; readonly armed: boolean } | null = null;
  readonly #begun = performance.now();
  #folders = 0;
  #number = 0;

  private constructor(plan: SeedPlan, source: Cluster, site: Site) {
    this.plan = plan;
    this.source = source;
    this.site = site;
    this.random = new Random(`torture/${plan.seed}/run`);
  }

  static async open(plan: SeedPlan, source: Cluster, main: string | null): Promise<Stage> {
    const policy = policyOf(plan);
    return new Stage(plan, source, await openSite({ cluster: source, local: plan.reader === "local", policy, ...(main === null ? {} : { main }) }));
  }

  get tablespace(): string {
    const [place] = this.source.place.tablespaceDirectories;
    if (place === undefined) throw new Error("the source has no tablespace");
    return place;
  }

  newFolder(name: string): string {
    return join(this.site.folder, `${name}-${++this.#folders}`);
  }

  /** For changes, which name what they make after it. Far apart: what goes on beside a backup, for as long as that takes, counts on from there. */
  nextNumber(): number {
    this.#number += 1000;
    return this.#number;
  }

  tell(what: string): void {
    this.story.push(`${((performance.now() - this.#begun) / 1000).toFixed(1).padStart(6)} s  ${what}`);
  }

  /** Runs a command that must succeed. */
  async must(...args: string[]): Promise<Outcome> {
    const outcome = await this.site.run(...args);
    if (outcome.exitCode !== 0) throw new Mismatch("command", `holdfast ${args.join(" ")} ended with ${outcome.exitCode ?? outcome.signal}: ${outcome.stderr}${outcome.stdout}`);
    return outcome;
  }

  /** Runs a command that is to die somewhere. True: it did. It may also get through: then it must have succeeded. */
  async dies(crash: CrashOrder, ...args: string[]): Promise<boolean> {
    const outcome = await this.site.runWith(crashEnvironment(crash), ...args);
    if (outcome.signal === "SIGKILL") {
      this.tally.crash(crash.point);
      return true;
    }
    if (outcome.exitCode !== 0) throw new Mismatch("command", `holdfast ${args.join(" ")} ended with ${outcome.exitCode ?? outcome.signal}: ${outcome.stderr}${outcome.stdout}`);
    return false;
  }

  get streams(): boolean {
    return this.#stream !== null && isAlive(this.#stream.running);
  }

  /** Starts streaming if nothing streams, and waits until the server sees it. */
  async stream(crash: CrashOrder | null = null): Promise<void> {
    if (this.streams) return;
    const stream = this.site.start(crash === null ? {} : crashEnvironment(crash), "wal", "stream");
    this.#stream = { running: stream, armed: crash !== null };
    await this.#until("the stream begins", async () => !isAlive(stream) || (await this.source.sql("select 1 from pg_stat_replication where state = 'streaming'")).length > 0);
    if (crash === null && !isAlive(stream)) throw new Mismatch("command", `the WAL stream ended at once: ${stream.output()}`);
  }

  /** Stops the stream as a person would, or as a power cut does. One that was armed may die of that instead: true. */
  async stopStream(how: "SIGTERM" | "SIGKILL"): Promise<boolean> {
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null) return false;
    const wasAlive = isAlive(stream.running);
    stream.running.process.kill(how);
    const { exitCode, signal, stderr } = await stream.running.ended();
    const died = signal === "SIGKILL" && how === "SIGTERM";
    if (wasAlive && how === "SIGTERM" && exitCode !== 0 && !(died && stream.armed))
      throw new Mismatch("command", `the WAL stream ended with ${exitCode ?? signal} when it was stopped: ${stderr}`);
    return died;
  }

  /** The stream's end, if it comes within the time. */
  async streamDied(withinMs: number): Promise<Outcome | null> {
    const stream = this.#stream;
    if (stream === null) return null;
    const timer = new AbortController();
    const late = delay(withinMs, null, { signal: timer.signal }).catch(() => null); // in time: aborted
    const outcome = await Promise.race([stream.running.ended(), late]);
    timer.abort();
    if (outcome !== null) this.#stream = null;
    return outcome;
  }

  /** Everything the source has written until now is durable, by what the server was told: it is told nothing else. In a segment that is whole, or in parts of one that is not. */
  async durable(): Promise<void> {
    await this.stream();
    if (this.random.chance(0.5)) await this.source.sql("select pg_switch_wal()");
    const [row] = await this.source.sql("select pg_current_wal_flush_lsn() as lsn");
    const wanted = parseLsn(row?.["lsn"] ?? "");
    await this.#until("everything is durable", async () => {
      const [found] = await this.source.sql("select max(flush_lsn) as lsn from pg_stat_replication");
      const reached = found?.["lsn"];
      return reached !== null && reached !== undefined && parseLsn(reached) >= wanted;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopStream("SIGKILL");
    await this.site[Symbol.asyncDispose]();
  }

  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    for (let waitedMs = 0; !(await condition()); waitedMs += POLL_MS) {
      if (waitedMs > PATIENCE_MS) throw new Mismatch("time", `waited in vain: ${what}. The stream says: ${this.#stream?.running.output() ?? "nothing, it is not there"}`);
      await delay(POLL_MS);
    }
  }
}

const POLL_MS = 50;
const PATIENCE_MS = 60_000;

/** What must not happen, whatever the seed. */
export class Mismatch extends Error {
  readonly what: string;

  constructor(what: string, message: string, options?: ErrorOptions) {
    super(`${what}: ${message}`, options);
    this.name = "Mismatch";
    this.what = what;
  }
}

const crashEnvironment = ({ point, nth }: CrashOrder): Record<string, string> => ({ HOLDFAST_CRASH_AT: `${point}:${nth}` });

const isAlive = ({ process }: Running): boolean => process.exitCode === null && process.signalCode === null;

function policyOf({ keepLast }: SeedPlan): string {
  const rule = (every: string): string => `{ schedule: { every: ${every} }, retention: { keepLast: ${keepLast} }, repositories: [onsite] }`;
  return `backups:
  full: ${rule("7d")}
  incremental: ${rule("1d")}
  differential: ${rule("6h")}
  log: { schedule: stream, retention: 24h, repositories: [onsite] }
`;
}
