import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { openHostState } from "../../src/repository/host-state.ts";
import { isCluster, listManifests } from "../../src/repository/manifest.ts";
import type { ClusterManifest, StoredManifest } from "../../src/repository/manifest.ts";
import { openForWriting } from "../../src/repository/repository.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { openLocalStore } from "../../src/storage/local-store.ts";
import { startCluster } from "./cluster.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { openSite } from "./site.ts";
import type { Outcome, Site } from "./site.ts";
import { digestTree } from "./tree.ts";

/** A command that takes longer has no end. */
const LONGEST_MS = 60_000;
const MOST_KIB = 400 << 10;
const PEAK_MEMORY = fileURLToPath(new URL("peak-memory.ts", import.meta.url));

/** A site with one true backup, of which copies are made to write other things in. */
export class HostileSite implements AsyncDisposable {
  readonly #site: Site;
  readonly #resources: AsyncDisposableStack;
  #copies = 0;

  private constructor(site: Site, resources: AsyncDisposableStack) {
    this.#site = site;
    this.#resources = resources;
  }

  static async open(binaries: PostgresBinaries): Promise<HostileSite> {
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    const site = stack.use(await openSite({ cluster: source }));
    await source.sql("create table t as select g as id, md5(g::text) as text from generate_series(1, 2000) g");
    const backup = await site.run("backup", "--json");
    expect(backup.exitCode, backup.stderr).toBe(0);
    return new HostileSite(site, stack.move());
  }

  async copy(): Promise<HostileCopy> {
    const folder = join(this.#site.folder, `copy-${++this.#copies}`);
    await promisify(execFile)("cp", ["-al", join(this.#site.folder, "onsite"), folder]);
    const around = join(this.#site.folder, `around-${this.#copies}`);
    await mkdir(join(around, "decoy"), { recursive: true });
    await writeFile(join(around, "decoy/file"), "not to be touched");
    const host = await openHostState(join(this.#site.folder, `state-${this.#copies}`));
    const repository = await openForWriting({ name: "onsite", store: openLocalStore(folder), secret: this.#site.key, host, hostName: "insider", now: systemClock.now() });
    const base = (await listManifests(repository, "db")).backups.find(isCluster);
    if (base === undefined) throw new Error("the backup is not there");
    return new HostileCopy(this.#site, { folder, around, repository, base });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** A copy of the true repository, opened by a host that was admitted, and commands that read what was left there. */
export class HostileCopy implements AsyncDisposable {
  readonly #site: Site;
  readonly folder: string;
  readonly repository: WritableRepository;
  readonly base: StoredManifest<ClusterManifest>;
  /** What lies around the target. */
  readonly around: string;
  readonly target: string;

  constructor(site: Site, place: Pick<HostileCopy, "folder" | "around" | "repository" | "base">) {
    this.#site = site;
    this.folder = place.folder;
    this.around = place.around;
    this.repository = place.repository;
    this.base = place.base;
    this.target = join(place.around, "target");
  }

  /** Runs a command to its end. It must end by itself, in bounded memory, and not with a bug. */
  async run(...args: string[]): Promise<Outcome> {
    const peakFile = `${this.folder}-peak-${args[0]}`;
    const running = this.#site.start({ NODE_OPTIONS: `--import ${PEAK_MEMORY}`, PEAK_MEMORY_FILE: peakFile }, ...args, "--repository", `file://${this.folder}`);
    const timer = setTimeout(() => running.process.kill("SIGKILL"), LONGEST_MS);
    const outcome = await running.ended();
    clearTimeout(timer);
    expect(outcome.signal, `${args[0]} did not end: ${outcome.stderr}`).toBeNull();
    expect(Number((await readFile(peakFile, "utf8")).split("\n")[0]), `peak memory of ${args[0]}`).toBeLessThan(MOST_KIB);
    expect(outcome.stderr, args[0]).not.toMatch(/HF-BUG|^\s+at /m);
    return outcome;
  }

  async restore(...args: string[]): Promise<Outcome> {
    return this.run("restore", "db", "--target", this.target, "--to", "immediate", ...args);
  }

  /** A restore that is refused with one of our errors, having touched nothing but its target, which cannot be started. */
  async expectRefused(message: RegExp, ...args: string[]): Promise<void> {
    const outside = async (): Promise<Map<string, string>> => digestTree(this.around, (path) => path.startsWith("target"));
    const before = await outside();
    const outcome = await this.restore(...args);
    expect(outcome.stderr).toMatch(message);
    expect([1, 2, 4], outcome.stderr).toContain(outcome.exitCode);
    expect(await outside()).toEqual(before);
    expect(existsSync(join(this.target, "global/pg_control"))).toBe(false);
  }

  /** Verification says no, and why. */
  async expectFound(message: RegExp): Promise<void> {
    const verified = await this.run("verify", "--json");
    expect(verified.exitCode, verified.stderr).toBe(1);
    expect(verified.stdout).toMatch(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of [this.folder, this.around]) await rm(path, { recursive: true, force: true });
  }
}
