import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { Command } from "commander";
import type { App } from "../app.ts";
import { filesNamedIn } from "../compliance/attestation.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import { exportBundle } from "../operations/evidence/export-bundle.ts";
import type { ExportedBundle } from "../operations/evidence/export-bundle.ts";
import { stampEvidence } from "../operations/evidence/stamp-evidence.ts";
import { byNearness, chooseSource, openReachable } from "../operations/installation.ts";
import { recordEntry } from "../operations/record-run.ts";
import { MOST_FILE_BYTES } from "../repository/evidence-bundle.ts";
import { newCommand, perform } from "./action.ts";
import { whoAsks } from "./who-asks.ts";
import type { CommonOptions } from "./action.ts";
import { stampCommand, statusCommand } from "./evidence-routes.ts";
import { readKnown, verifyCommand } from "./evidence-verify.ts";
import { parseMoment } from "./parse-moment.ts";

export function evidenceCommand(): Command {
  const command = new Command("evidence").description("what was done, signed, for somebody who need not believe us");
  for (const child of [exportCommand(), keyCommand(), stampCommand(), statusCommand(), verifyCommand()]) command.addCommand(child);
  return command;
}

interface ExportOptions extends CommonOptions {
  readonly out: string;
  readonly from?: string;
  readonly to?: string;
  readonly source?: string;
  readonly report?: string;
  readonly since?: string;
}

function exportCommand(): Command {
  return newCommand(
    "export",
    "entries of the evidence log in one file that can be checked anywhere",
    "holdfast evidence export --from 2026-10-01T00:00Z --to 2026-11-01T00:00Z --out october.evidence",
  )
    .argument("[repository]", "out of which repository (default: the nearest)")
    .requiredOption("--out <file>", "where to write it")
    .option("--from <time>", "entries from this moment on, with a zone")
    .option("--to <time>", "entries before this moment, with a zone")
    .option("--source <name>", "only entries about this source")
    .option("--report <folder>", "with a report that 'holdfast report' wrote there")
    .option("--since <file>", "an earlier bundle: with the proof that the log only grew since then")
    .action(async (name: string | undefined, options: ExportOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        const from = options.from === undefined ? null : parseMoment("--from", options.from);
        const to = options.to === undefined ? null : parseMoment("--to", options.to);
        const source = options.source === undefined ? null : chooseSource(app.inventory, options.source).name;
        const files = options.report === undefined ? [] : await readReport(options.report);
        const since = options.since === undefined ? [] : (await readKnown(options.since, [app.host.signer])).statement.writers;
        // Where the authority is away the bundle goes without a new stamp.
        await stampEvidence(app, { force: true, signal: context.signal }).catch((error: unknown) => output.notice(`note: ${messageOf(error)}`));
        await app.journal.copyToRepositories();
        const repository = await chooseEvidence(app, name);
        const file = path.resolve(options.out);
        const now = app.clock.now();
        const exported = await writeThenRename(file, async (write) => exportBundle({ repository, now, from, to, source, files, since }, write));
        const { entries, checkpoints, predicate } = exported;
        const told = { repository: repository.name, selection: predicate.selection, entries, by: whoAsks() };
        await recordEntry(app.journal, "evidence.exported", told, [{ name: path.basename(file), digest: { sha256: await digestOfFile(file) } }]);
        await app.journal.copyToRepositories();
        output.result({ bundle: file, repository: repository.name, entries, checkpoints, signer: app.host.signer.fingerprint, writers: predicate.writers }, () =>
          describeExport(file, exported),
        );
        return 0;
      }),
    );
}

async function chooseEvidence(app: App, name: string | undefined): Promise<Awaited<ReturnType<App["repository"]>>> {
  if (name !== undefined) return app.repository(name);
  const names = byNearness(app.inventory, [...app.inventory.repositories.keys()]);
  const [nearest] = (await openReachable(app, names)).repositories;
  if (nearest === undefined) throw new HoldfastError("HF-CONFIG", "the inventory names no repository", { hint: "evidence is kept in repositories" });
  return nearest;
}

function describeExport(file: string, { entries, checkpoints, predicate }: ExportedBundle): string {
  const logs = predicate.writers.map(({ writer, size, root }) => `  log of ${writer.slice(0, 16)}: ${size} entries, root ${root}`);
  return `${[`${file}: ${entries} entries, ${checkpoints} checkpoints`, ...logs, "Give it to the auditor; and by another way, what 'holdfast evidence key' prints."].join("\n")}\n`;
}

/** Either the whole file is there, or nothing of it. */
async function writeThenRename<T>(file: string, fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<T>): Promise<T> {
  const temporary = `${file}.${randomBytes(4).toString("hex")}`;
  try {
    const handle = await open(temporary, "wx");
    let result: T;
    try {
      result = await fill(async (bytes) => handle.writeFile(bytes));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    return result;
  } catch (cause) {
    await rm(temporary, { force: true });
    if (cause instanceof HoldfastError) throw cause;
    throw new HoldfastError("HF-STORAGE", `cannot write ${file}: ${messageOf(cause)}`, { hint: "choose another place with --out", cause });
  }
}

/** Exactly the files that were signed, and their signature: what else lies in the folder is of another report. */
async function readReport(folder: string): Promise<{ name: string; bytes: Buffer }[]> {
  const read = async (name: string): Promise<{ name: string; bytes: Buffer }> => {
    const bytes = await readFile(path.join(folder, path.basename(name))).catch((cause: unknown) => {
      throw new HoldfastError("HF-USAGE", `there is no whole report in ${folder}: ${messageOf(cause)}`, { hint: "write one first: 'holdfast report --out FOLDER'", cause });
    });
    if (bytes.length <= MOST_FILE_BYTES) return { name, bytes };
    throw new HoldfastError("HF-USAGE", `${name} is too large for a bundle`, { hint: "hand it over beside the bundle: report.dsse.json names its digest" });
  };
  const attestation = await read("report.dsse.json");
  const names = filesNamedIn(attestation.bytes);
  if (names === null)
    throw new HoldfastError("HF-USAGE", `${path.join(folder, attestation.name)} does not sign a report`, { hint: "write it again: 'holdfast report --out FOLDER'" });
  const files: { name: string; bytes: Buffer }[] = [];
  for (const name of names) files.push(await read(name));
  return [...files, attestation];
}

async function digestOfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function keyCommand(): Command {
  return newCommand("key", "the public keys that evidence is checked with: hand them over by another way than the evidence", "holdfast evidence key").action(
    async (options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const keys = await publicKeys(app);
        output.result({ keys }, () =>
          [
            "# Public keys (Ed25519, base64) of hosts that sign evidence. Read the fingerprints to each other, or hand this over by another way than the evidence.",
            ...keys.map(describeKey),
            "",
          ].join("\n"),
        );
        return 0;
      }),
  );
}

interface PublicKey {
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly host: string;
  readonly isThisHost: boolean;
}

/** This host's, and those of every host that was admitted to a repository. */
async function publicKeys(app: App): Promise<PublicKey[]> {
  const own = { publicKey: app.host.signer.publicKey, fingerprint: app.host.signer.fingerprint, host: app.journal.hostName, isThisHost: true };
  const { repositories } = app.inventory.repositories.size === 0 ? { repositories: [] } : await openReachable(app, [...app.inventory.repositories.keys()]);
  const others = repositories.flatMap(({ hosts }) => hosts.map(({ publicKey, fingerprint, name }) => ({ publicKey, fingerprint, host: name, isThisHost: false })));
  return [...new Map([...others, own].map((key) => [key.fingerprint, key])).values()];
}

function describeKey({ publicKey, fingerprint, host, isThisHost }: PublicKey): string {
  return `${publicKey}  ${host}${isThisHost ? ", this host" : ""}  SHA-256 ${fingerprint}`;
}
