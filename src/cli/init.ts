import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { findInventory, openApp } from "../app.ts";
import { openConfiguredStore } from "../open-stores.ts";
import { systemClock } from "../clock.ts";
import { parseSecretRef } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import { loadInventory } from "../policy/load.ts";
import { configError } from "../policy/problem.ts";
import type { Inventory } from "../policy/types.ts";
import { grantsSql } from "../postgres/grants.ts";
import { makeRecoverySheet } from "../operations/keys/recovery-sheet.ts";
import type { RecoverySheet } from "../operations/keys/recovery-sheet.ts";
import { recordEntry } from "../operations/record-run.ts";
import { createRepository } from "../repository/create-repository.ts";
import { DESCRIPTOR_KEY, isSourceName } from "../repository/layout.ts";
import { prepareLocalStore } from "../storage/local-store.ts";
import { requireSoundStore } from "../storage/store-probe.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { findOrMakePassphrase, placeOf } from "./passphrase.ts";
import { describeSheet } from "./recovery-sheet.ts";

interface InitOptions extends CommonOptions {
  readonly source?: string;
  readonly connection?: string;
  readonly repository?: string;
  readonly policy: string;
}

interface Created {
  readonly name: string;
  readonly url: string;
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly keyId: string;
  /** The age file that the passphrase opens. */
  readonly envelope: string;
  readonly keptIn: string;
}

export function initCommand(): Command {
  return newCommand(
    "init",
    "write an inventory, make its repositories and their keys (what is there already is left as it is)",
    "holdfast init --source orders --connection env:ORDERS_URL --repository file:///srv/holdfast",
  )
    .option("--source <name>", "name of the first source")
    .option("--connection <reference>", "where its address is: env:NAME or file:/path, holding postgres://…")
    .option("--repository <url>", "where backups go: file:///absolute/path or s3://bucket/prefix")
    .option("--endpoint <url>", "of an S3 server that is not Amazon's")
    .option("--region <name>", "of the bucket")
    .option("--policy <name>", "critical, important, standard or non-critical", "standard")
    .action(async (options: InitOptions) => perform(options, (tools) => init(options, tools)));
}

async function init(options: InitOptions, tools: Tools): Promise<number> {
  const file = findInventory(options.config) ?? path.resolve(options.config ?? "holdfast.yaml");
  const written = existsSync(file) ? [] : await writeInventory(file, options);
  const loaded = await loadInventory(file);
  if (!loaded.ok) throw configError(loaded.problems);
  const created = await createMissing(loaded.inventory);
  const sheet = created.length > 0 ? await recordCreation(file, created) : null;
  const result = { inventory: file, written, created };
  tools.output.result(result, () => describe(file, written, created, sheet));
  return 0;
}

/** Asks for what was not given, on a terminal; else refuses before anything is touched. */
async function writeInventory(file: string, options: InitOptions): Promise<string[]> {
  const source = await ask("name of the source", options.source, "main");
  if (!isSourceName(source)) throw new HoldfastError("HF-USAGE", `not a source name: ${JSON.stringify(source)}`, { hint: "lower-case letters, digits, '-', '_' and '.'" });
  const connection = await ask("where its address is (env:NAME or file:/path)", options.connection, "env:HOLDFAST_SOURCE_URL");
  if (parseSecretRef(connection) === null)
    throw new HoldfastError("HF-USAGE", "--connection says where the address is, not the address itself", { hint: "env:NAME or file:/path" });
  const repository = await ask("where backups go", options.repository, "file:///srv/holdfast");
  const folder = path.dirname(file);
  const shipped = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../policies", `${options.policy}.yaml`);
  const policy = await readFile(shipped, "utf8").catch(() => {
    throw new HoldfastError("HF-USAGE", `there is no policy ${JSON.stringify(options.policy)}`, { hint: "critical, important, standard or non-critical" });
  });
  const inventory = [
    "version: 1",
    "state: ./state",
    "repositories:",
    `  onsite: { url: ${JSON.stringify(repository)}${reachedBy(options)}, encryption: { passphrase: "file:${path.join(folder, "onsite.key")}" } }`,
    'scratch: { directory: "./scratch" }',
    "sources:",
    `  ${source}: { kind: postgres, connection: ${JSON.stringify(connection)}, policy: ${options.policy} }`,
    "",
  ].join("\n");
  await mkdir(path.join(folder, "policies"), { recursive: true });
  const policyFile = path.join(folder, "policies", `${options.policy}.yaml`);
  // The shipped policies keep a second copy in the cloud; a first inventory has one repository.
  if (!existsSync(policyFile)) await writeFile(policyFile, policy.replaceAll("[onsite, cloud]", "[onsite]"));
  await writeFile(file, inventory, { flag: "wx" });
  return [file, policyFile];
}

/** The settings of a bucket that were given, as they are written in the inventory. */
function reachedBy({ endpoint, region }: InitOptions): string {
  const settings = Object.entries({ endpoint, region }).flatMap(([key, value]) => (value === undefined ? [] : [`, ${key}: ${JSON.stringify(value)}`]));
  return settings.join("");
}

async function ask(question: string, given: string | undefined, suggestion: string): Promise<string> {
  if (given !== undefined) return given;
  if (!process.stdin.isTTY)
    throw new HoldfastError("HF-USAGE", "there is no inventory, and not all that is needed to write one was given", {
      hint: "holdfast init --source NAME --connection env:NAME --repository file:///path|s3://bucket/prefix",
    });
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await reader.question(`${question} [${suggestion}]: `)).trim();
    return answer === "" ? suggestion : answer;
  } finally {
    reader.close();
  }
}

async function createMissing(inventory: Inventory): Promise<Created[]> {
  const created: Created[] = [];
  for (const config of inventory.repositories.values()) {
    const store = await openConfiguredStore(config, systemClock, inventory);
    if ((await store.size(DESCRIPTOR_KEY)) !== null) continue;
    const { passphrase: reference } = config;
    if (reference === null)
      throw new HoldfastError("HF-KEY", `there is no repository at ${store.url}, and this host, which only writes, cannot make ${config.name}`, {
        hint: "run 'holdfast init' on a host that has its passphrase",
      });
    if (config.s3 === null) await prepareLocalStore(store.url.slice("file://".length));
    else await requireSoundStore(store);
    const passphrase = await findOrMakePassphrase(reference, `the passphrase of repository ${config.name}`);
    const keptIn = placeOf(reference);
    const { keyId, envelope } = await createRepository({ name: config.name, store, passphrase, keptAt: keptIn, now: systemClock.now() });
    created.push({
      name: config.name,
      url: config.url,
      endpoint: config.s3?.endpoint ?? null,
      region: config.s3?.region ?? null,
      keyId,
      envelope,
      keptIn,
    });
  }
  return created;
}

/** Puts the new repositories on record, and makes the sheet of them. */
async function recordCreation(file: string, created: readonly Created[]): Promise<RecoverySheet> {
  await using app = await openApp({ config: file, clock: systemClock, onNotice: () => undefined });
  for (const { name, keyId, envelope } of created) {
    const { repositoryId } = await app.repository(name);
    await recordEntry(app.journal, "repository.created", { repository: name, repositoryId, keyId, envelopes: [envelope] });
  }
  await app.journal.copyToRepositories();
  const names = new Set(created.map(({ name }) => name));
  // Awaited here: the installation is closed when we return.
  return await makeRecoverySheet(
    app,
    [...app.inventory.repositories.values()].filter(({ name }) => names.has(name)),
  );
}

function describe(file: string, written: readonly string[], created: readonly Created[], sheet: RecoverySheet | null): string {
  const keep = created.map(({ name, keptIn }) => `The passphrase of ${name} is in ${keptIn}. Keep a copy of it elsewhere: without it nothing can be restored.`);
  const sheets = sheet === null ? [] : ["", ...keep, "", ...describeSheet(sheet)];
  const role =
    written.length === 0
      ? []
      : [
          "",
          "A role for the source with just the privileges that are needed (PostgreSQL 15 and newer; as a superuser):",
          ...grantsSql("holdfast", 18).map((line) => `  ${line}`),
          "",
          "Next: holdfast check",
        ];
  const head = [...written.map((name) => `wrote ${name}`), ...(written.length + created.length === 0 ? [`${file} and its repositories are there already`] : [])];
  return `${[...head, ...sheets, ...role].join("\n")}\n`;
}
