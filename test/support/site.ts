import { spawn } from "node:child_process";
import type { ChildProcess, SpawnOptions } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { giveToServerUser } from "./cluster.ts";
import type { Cluster } from "./running-cluster.ts";
import { copyInFolder, keepCopies } from "./kept-copies.ts";
import type { Keeping, KeptCopy } from "./kept-copies.ts";
import { openScratchFolder } from "./scratch-folder.ts";
import { asUser, serverUser } from "./server-user.ts";

/** An installation of Holdfast of its own around one cluster: inventory, policy, repositories; and the real command, run as a process. */
export interface Site extends AsyncDisposable {
  readonly folder: string;
  readonly inventory: string;
  /** Address of a repository by name, where it is a folder of the site. */
  repository(name?: string): string;
  /** Its repositories, in the order of the policy, but those of `places`. */
  readonly copies: readonly KeptCopy[];
  readonly key: string;
  /** Runs `holdfast …` to its end. */
  run(...args: string[]): Promise<Outcome>;
  /** As `run`, with more environment. */
  runWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome>;
  /** Starts `holdfast …` and leaves it running; it is killed when the site is disposed. */
  start(env: Readonly<Record<string, string>>, ...args: string[]): Running;
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON. */
  json<T>(): T;
}

export interface Running {
  readonly process: ChildProcess;
  output(): string;
  ended(): Promise<Outcome>;
}

export interface SiteOptions {
  readonly cluster: Pick<Cluster, "url" | "dataDirectory" | "binaries">;
  readonly repositories?: readonly string[];
  /** Where the repository `onsite` is, with a second one, `cloud`, for "both" (then whatever the policy sends to the first goes to both). Not together with the two options beside it. */
  readonly keeping?: Keeping;
  /** Where repositories are that are not folders of the site, by name: `url: …` and what else the inventory says of how to get there. */
  readonly places?: Readonly<Record<string, string>>;
  /** More environment, for every command. */
  readonly env?: Readonly<Record<string, string>>;
  /** Reads the data directory instead of SQL. */
  readonly local?: boolean;
  /** Everything belongs to the account that servers run as, and runs as it: what `archive_command` needs. */
  readonly asServerUser?: boolean;
  /** The `backups:` section and what follows it. */
  readonly policy?: string;
  readonly sourceExtra?: string;
  /** More lines of the inventory, after the source `db` (more sources, then other sections), and more policies by name. */
  readonly inventoryExtra?: readonly string[];
  readonly policies?: Readonly<Record<string, string>>;
  /** Another `main.ts` than ours: the same program with a fault planted in it. */
  readonly main?: string;
}

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** Commands start twice as fast from code compiled before. In the project's own folder: what lies there is run. */
const COMPILED = fileURLToPath(new URL("../../node_modules/.cache/holdfast-compiled", import.meta.url));
/** Long enough to be called random by a person, and in the form that needs no stretching. */
const GENERATED_KEY = "abcde-fghij-klmno-pqrst-uvwxy-z2345";

const PLAIN_POLICY = (repositories: string): string => `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [${repositories}] }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: 30d, repositories: [${repositories}] }
  differential: { schedule: { every: 6h }, retention: 7d, repositories: [${repositories}] }
  log: { schedule: stream, retention: 24h, repositories: [${repositories}] }
`;

export async function openSite(options: SiteOptions): Promise<Site> {
  await using resources = new AsyncDisposableStack();
  const scratch = resources.use(await openScratchFolder());
  const folder = scratch.path;
  // The server's user passes through on its way to restored clusters.
  await chmod(folder, 0o755);
  const copies =
    options.keeping === undefined
      ? (options.repositories ?? ["onsite"]).filter((name) => options.places?.[name] === undefined).map((name) => copyInFolder(name, folder))
      : await keepCopies(options.keeping, folder, resources);
  const places = { ...Object.fromEntries(copies.map(({ name, place }) => [name, place])), ...options.places };
  const names = options.keeping === undefined ? (options.repositories ?? ["onsite"]) : copies.map(({ name }) => name);
  const policy = options.keeping === "both" ? options.policy?.replaceAll("[onsite]", "[onsite, cloud]") : options.policy;
  const inventory = join(folder, "holdfast.yaml");
  await mkdir(join(folder, "policies"));
  await writeFile(join(folder, "policies/plain.yaml"), `version: 1\nname: plain\n${policy ?? PLAIN_POLICY(names.join(", "))}`);
  for (const [name, text] of Object.entries(options.policies ?? {})) await writeFile(join(folder, `policies/${name}.yaml`), `version: 1\nname: ${name}\n${text}`);
  await writeFile(inventory, inventoryText(names, places, options));
  const user = options.asServerUser === true ? asUser(await serverUser()) : {};
  if (options.asServerUser === true) await giveToServerUser(folder);
  const children = new Set<ChildProcess>();
  resources.defer(async () => {
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  });
  const env = {
    NODE_COMPILE_CACHE: options.asServerUser === true ? join(folder, "compiled") : COMPILED,
    ...process.env,
    SITE_KEY: GENERATED_KEY,
    SITE_URL: options.cluster.url(),
    HOLDFAST_CONFIG: inventory,
    HOLDFAST_KEY: GENERATED_KEY,
    ...Object.fromEntries(copies.flatMap(({ env: access }) => Object.entries(access))),
    ...options.env,
  };
  const start = (extra: Readonly<Record<string, string>>, args: readonly string[]): Running =>
    launch(children, { env: { ...env, ...extra }, ...user }, [options.main ?? MAIN, ...args]);
  const site: Site = {
    folder,
    inventory,
    key: GENERATED_KEY,
    copies,
    repository: (name = "onsite") => `file://${join(folder, name)}`,
    run: async (...args) => start({}, args).ended(),
    runWith: async (extra, ...args) => start(extra, args).ended(),
    start: (extra, ...args) => start(extra, args),
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
  const made = await site.run("init", "--json");
  if (made.exitCode !== 0) throw new Error(`holdfast init failed: ${made.stderr}`);
  const held = resources.move();
  return site;
}

function inventoryText(names: readonly string[], places: Readonly<Record<string, string>>, options: SiteOptions): string {
  const repositories = names.map((name) => `  ${name}: { ${places[name]}, encryption: { passphrase: env:SITE_KEY } }`);
  const local = options.local === true ? `, dataDirectory: "${options.cluster.dataDirectory}"` : "";
  return [
    "version: 1",
    "state: ./state",
    "repositories:",
    ...repositories,
    `postgres: { binaries: ["${options.cluster.binaries.directory}"] }`,
    "scratch: { directory: ./scratch }",
    "sources:",
    `  db: { kind: postgres, connection: env:SITE_URL, policy: plain${local}${options.sourceExtra ?? ""} }`,
    ...(options.inventoryExtra ?? []),
    "",
  ].join("\n");
}

/** The command outside of any site, with this environment beside our own; killed when it goes out of scope. */
export function startMain(env: Readonly<Record<string, string>>, ...args: string[]): Running & Disposable {
  const children = new Set<ChildProcess>();
  const running = launch(children, { env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, ...env } }, [MAIN, ...args]);
  return { ...running, [Symbol.dispose]: () => children.forEach((child) => child.kill("SIGKILL")) };
}

function launch(children: Set<ChildProcess>, how: Pick<SpawnOptions, "env" | "uid" | "gid">, args: readonly string[]): Running {
  const child = spawn(process.execPath, args, { ...how, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => {
      children.delete(child);
      resolve({ exitCode, signal, stdout, stderr, json: <T>() => JSON.parse(stdout) as T });
    });
  });
  return { process: child, output: () => stdout + stderr, ended: async () => ended };
}
