import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CapturedSettings } from "../../../src/postgres/capture.ts";
import type { ControlFile } from "../../../src/postgres/control-file.ts";
import { lsn } from "../../../src/domain/lsn.ts";
import { generateConfig } from "../../../src/postgres/restored-config.ts";
import type { RestoredConfig } from "../../../src/postgres/restored-config.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";

const CONTROL: ControlFile = {
  systemIdentifier: "7300000000000000001",
  controlVersion: 1300,
  catalogVersion: 202_209_061,
  state: "in production",
  checkpoint: lsn(0n),
  redo: lsn(0n),
  timeline: 1,
  minRecoveryPoint: lsn(0n),
  minRecoveryTimeline: 0,
  maxConnections: 250,
  maxWorkerProcesses: 9,
  maxWalSenders: 11,
  maxPreparedTransactions: 3,
  maxLocksPerTransaction: 128,
  walLevel: "replica",
  walLogHints: false,
  trackCommitTimestamp: true,
  blockSize: 8192,
  segmentBlocks: 131_072,
  walSegmentBytes: 16 << 20,
  dataChecksums: true,
};

function generate(settings: Readonly<Record<string, string>>): RestoredConfig {
  const captured: CapturedSettings = {
    version: 150_020,
    settings: Object.entries(settings).map(([name, value]) => ({ name, value, source: "configuration file", file: null })),
    hba: null,
    tablespaces: [],
    databases: [],
    collations: [],
    bootstrapRole: "postgres",
  };
  return generateConfig({
    captured,
    control: CONTROL,
    targetLsn: "0/3000028",
    timeline: 2,
    action: "promote",
    socketDirectory: "/run",
    port: 6543,
    sharedBuffersMaxBytes: 64 << 20,
    inPlaceTablespaces: false,
  });
}

/** What the server would take: the last value of each setting, the one in postgresql.auto.conf before others. */
function effective({ postgresqlConf, autoConf }: RestoredConfig): Map<string, string> {
  const lines = [...postgresqlConf.split("\n"), ...autoConf.split("\n")].map((line) => /^(\w+) = (.*)$/.exec(line)).filter((match) => match !== null);
  return new Map(lines.map(([, name = "", value = ""]) => [name, value.startsWith("'") ? value.slice(1, -1) : value]));
}

describe("the configuration of a restored cluster", () => {
  test("holds nothing that reaches out, waits for others, or writes where the source writes", () => {
    const dangerous = {
      archive_mode: "on",
      archive_command: "cp %p /archive/%f",
      archive_library: "basic_archive",
      archive_cleanup_command: "rm /archive/%r",
      recovery_end_command: "touch /promoted",
      restore_command: "cp /archive/%f %p",
      primary_conninfo: "host=primary",
      primary_slot_name: "standby",
      synchronous_standby_names: "*",
      shared_preload_libraries: "pg_cron",
      session_preload_libraries: "auto_explain",
      data_directory: "/var/lib/postgresql",
      hba_file: "/etc/postgresql/pg_hba.conf",
      ident_file: "/etc/postgresql/pg_ident.conf",
      external_pid_file: "/run/postgresql/main.pid",
      log_directory: "/var/log/postgresql",
      logging_collector: "on",
      listen_addresses: "*",
      unix_socket_directories: "/var/run/postgresql",
      ssl: "on",
      ssl_cert_file: "/etc/ssl/server.pem",
      recovery_target_time: "2026-01-01",
      recovery_target_timeline: "latest",
      max_logical_replication_workers: "8",
      sync_replication_slots: "on",
      "cron.database_name": "postgres",
      hot_standby: "off",
      fsync: "off",
      zero_damaged_pages: "on",
    };
    const config = effective(generate(dangerous));
    for (const name of Object.keys(dangerous))
      expect([undefined, "", "off", "localhost", "/run", "0", "2"].includes(config.get(name)) || name === "restore_command", `${name} = ${config.get(name)}`).toBe(true);
    expect(config.get("archive_mode")).toBe("off");
    expect(config.get("max_logical_replication_workers")).toBe("0");
    expect(config.get("restore_command")).toMatch(/holdfast-wal/);
  });

  test("aims at one position on one timeline, and says what was left out that somebody may want back", () => {
    const generated = generate({ shared_preload_libraries: "timescaledb", work_mem: "65536" });
    expect(Object.fromEntries(effective(generated))).toMatchObject({
      recovery_target_lsn: "0/3000028",
      recovery_target_inclusive: "on",
      recovery_target_timeline: "2",
      recovery_target_action: "promote",
      max_connections: "250",
      max_worker_processes: "9",
      max_wal_senders: "11",
      max_prepared_transactions: "3",
      max_locks_per_transaction: "128",
      track_commit_timestamp: "on",
      work_mem: "65536",
      shared_buffers: "8192",
      port: "6543",
    });
    expect(generated.leftOut).toEqual(["shared_preload_libraries"]);
  });

  test("keeps a value with quotes and backslashes one value", () => {
    const { postgresqlConf } = generate({ default_text_search_config: "it's \\ 'quoted'", work_mem: "4096" });
    expect(postgresqlConf).toContain("default_text_search_config = 'it''s \\\\ ''quoted'''\n");
  });
});

/** PostgreSQL takes every answer up to 125 for "there is no such file": the end of WAL. */
describe("the restore command of a restored cluster", () => {
  let scratch: ScratchFolder;
  const NAME = "000000010000000000000003";

  beforeEach(async () => {
    scratch = await openScratchFolder();
    await mkdir(join(scratch.path, "holdfast-wal"));
    await writeFile(join(scratch.path, "holdfast-wal", NAME), "wal");
    await writeFile(join(scratch.path, "holdfast-wal/staged"), `00000002.history\n${NAME}\n`);
  });
  afterEach(async () => scratch[Symbol.asyncDispose]());

  async function run(file: string, path = process.env["PATH"] ?? ""): Promise<number | string> {
    const command = (effective(generate({})).get("restore_command") ?? "").replaceAll("''", "'").replaceAll("%f", file).replaceAll("%p", "delivered");
    try {
      await promisify(execFile)("/bin/sh", ["-c", command], { cwd: scratch.path, env: { PATH: path } });
      return 0;
    } catch (error) {
      return (error as { code: number }).code;
    }
  }

  test("delivers what was staged", async () => {
    expect(await run(NAME)).toBe(0);
    expect(await readFile(join(scratch.path, "delivered"), "utf8")).toBe("wal");
  });

  test("says that there is no such file only of what was never staged", async () => {
    expect(await run("000000010000000000000004")).toBe(1);
    expect(await run("00000003.history")).toBe(1);
    expect(await run(NAME.slice(0, -1))).toBe(1);
  });

  test("stops PostgreSQL when a staged file or the list of them is gone", async () => {
    await rm(join(scratch.path, "holdfast-wal", NAME));
    expect(await run(NAME)).toBe(126);
    await rm(join(scratch.path, "holdfast-wal/staged"));
    expect(await run("000000010000000000000004")).toBe(126);
  });

  test("stops PostgreSQL when a tool it needs is not there, or the target cannot be written", async () => {
    expect(await run("000000010000000000000004", "/nowhere")).toBe(126);
    await mkdir(join(scratch.path, "delivered", NAME), { recursive: true });
    expect(await run(NAME)).toBe(126);
  });
});
