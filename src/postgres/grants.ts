import { escapeIdentifier, escapeLiteral } from "./connection.ts";

/** The functions a backup role needs to execute, by major version: exact signatures. No superuser, no `pg_read_server_files`. */
export function grantsSql(role: string, major: number): string[] {
  const name = escapeIdentifier(role);
  const functions = [
    "pg_read_binary_file(text, bigint, bigint, boolean)",
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    major >= 15 ? "pg_backup_start(text, boolean)" : "pg_start_backup(text, boolean, boolean)",
    major >= 15 ? "pg_backup_stop(boolean)" : "pg_stop_backup(boolean, boolean)",
    "pg_switch_wal()",
    "pg_create_restore_point(text)",
  ];
  return [
    `create role ${name} login replication password ${escapeLiteral("choose one")};`,
    `grant pg_read_all_settings to ${name};`,
    ...functions.map((signature) => `grant execute on function pg_catalog.${signature} to ${name};`),
    `-- optional, to store authentication rules: grant select on pg_hba_file_rules to ${name}; grant execute on function pg_hba_file_rules() to ${name};`,
    `-- pg_hba.conf needs a line for streaming:  host replication ${role} <address of holdfast> scram-sha-256`,
  ];
}
