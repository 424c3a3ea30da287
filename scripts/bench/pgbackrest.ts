import { execFile } from "node:child_process";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { measure } from "./measure.ts";
import type { Command } from "./measure.ts";
import { LEVEL, PROCESSES } from "./tools.ts";
import type { Tool, ToolSetup } from "./tools.ts";

/** Where it is installed, by its whole path: a server that runs it as its archive_command has a PATH of its own. Null where it is not on ours. */
export async function findPgbackrest(): Promise<{ program: string; version: string } | null> {
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    const program = join(folder, "pgbackrest");
    const said = await promisify(execFile)(program, ["version"]).catch(() => null);
    if (said !== null) return { program, version: said.stdout.trim().replace(/^pgBackRest /, "") };
  }
  return null;
}

/**
 * pgBackRest on the same files. WAL is not archived while backups are measured (`archive-check=n`): that is measured on its own.
 * Bundling and block increments are what its manual recommends for many small files, and for incrementals.
 */
export async function openPgbackrest({ cluster, folder }: ToolSetup, options: { program: string; version: string; block: boolean }): Promise<Tool> {
  const { owner, socketDirectory } = cluster.place;
  const repository = join(folder, "repository");
  for (const path of [folder, repository, join(folder, "log"), join(folder, "lock"), join(folder, "spool")]) {
    await mkdir(path, { recursive: true });
    await chown(path, owner.uid, owner.gid);
  }
  const configuration = join(folder, "pgbackrest.conf");
  await writeFile(configuration, configurationOf(options.block, { repository, folder, data: cluster.dataDirectory, sockets: socketDirectory, port: cluster.port }));
  await chown(configuration, owner.uid, owner.gid);
  const command = (...args: string[]): Command => ({ file: options.program, args: [`--config=${configuration}`, "--stanza=bench", ...args], as: owner, cwd: folder });
  await measure(command("--no-online", "stanza-create"));
  return {
    name: options.block ? "pgbackrest block+bundle" : "pgbackrest",
    version: options.version,
    repository,
    backup: (kind) => measure(command(`--type=${kind === "full" ? "full" : "incr"}`, "backup")),
    restore: async (target) => {
      await mkdir(target, { mode: 0o700 });
      await chown(target, owner.uid, owner.gid);
      return measure(command(`--pg1-path=${target}`, "--type=immediate", "restore"));
    },
    deltaRestore: async (target) => measure(command(`--pg1-path=${target}`, "--type=immediate", "--delta", "restore")),
    // Of files that it compressed or encrypted it knows the digest of what is stored, and compares that.
    verify: () => measure(command("verify")),
    verifyStored: null,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

function configurationOf(block: boolean, place: { repository: string; folder: string; data: string; sockets: string; port: number }): string {
  return [
    "[global]",
    `repo1-path=${place.repository}`,
    `log-path=${join(place.folder, "log")}`,
    `lock-path=${join(place.folder, "lock")}`,
    `spool-path=${join(place.folder, "spool")}`,
    "log-level-console=warn",
    "log-level-file=off",
    "compress-type=zst",
    `compress-level=${LEVEL}`,
    `process-max=${PROCESSES}`,
    "start-fast=y",
    "archive-check=n",
    "archive-copy=n",
    "repo1-cipher-type=aes-256-cbc",
    "repo1-cipher-pass=bench-bench-bench-bench",
    ...(block ? ["repo1-bundle=y", "repo1-block=y"] : []),
    "[bench]",
    `pg1-path=${place.data}`,
    `pg1-socket-path=${place.sockets}`,
    `pg1-port=${place.port}`,
    "pg1-user=postgres",
    "",
  ].join("\n");
}
