import { escapeIdentifier, escapeLiteral } from "./connection.ts";

/** The functions a backup role must be able to execute, by major version: exact signatures. */
export function neededFunctions(major: number): string[] {
  return [
    "pg_read_binary_file(text, bigint, bigint, boolean)",
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    major >= 15 ? "pg_backup_start(text, boolean)" : "pg_start_backup(text, boolean, boolean)",
    major >= 15 ? "pg_backup_stop(boolean)" : "pg_stop_backup(boolean, boolean)",
    "pg_switch_wal()",
  ];
}

/** SQL for a role with just the privileges that are needed: no superuser, no `pg_read_server_files`. Grants are per database: run it in the one the connection names. */
export function grantsSql(role: string, major: number): string[] {
  const name = escapeIdentifier(role);
  return [
    `create role ${name} login replication password ${escapeLiteral("choose one")};`,
    `grant pg_read_all_settings to ${name};`,
    ...neededFunctions(major).map((signature) => `grant execute on function pg_catalog.${signature} to ${name};`),
    `-- optional, to store the authentication rules: grant execute on function pg_catalog.pg_hba_file_rules() to ${name}; grant select on pg_catalog.pg_hba_file_rules to ${name};`,
    `-- pg_hba.conf needs a line for streaming:  host replication ${role} <address of holdfast> scram-sha-256`,
  ];
}
