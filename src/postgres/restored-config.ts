import type { CapturedSettings } from "./capture.ts";
import type { ControlFile } from "./control-file.ts";

/**
 * The configuration of a restored cluster. It is generated, never the source's own: settings that came along could archive into the source's repository, follow its primary, hang every commit
 * on a standby that is not there, or run scheduled jobs. Pure: facts in, text out.
 */
export interface RestoredConfigOptions {
  readonly captured: CapturedSettings;
  readonly control: ControlFile;
  /** Start of the last record to apply. */
  readonly targetLsn: string;
  readonly timeline: number;
  readonly action: "promote" | "pause" | "shutdown";
  readonly socketDirectory: string;
  readonly port: number | null;
  /** Upper limit for shared_buffers: this machine may be smaller than the source. */
  readonly sharedBuffersMaxBytes: number;
  /** The backup holds tablespaces inside the data directory, or WAL makes some: without a setting that allows them, recovery ends with a panic as soon as it is consistent. */
  readonly inPlaceTablespaces: boolean;
  /** Follows a primary instead of ending at the target: how to connect to it. A secret. */
  readonly primaryConninfo?: string | null;
  /** Databases were left out: WAL speaks of pages that are not there. */
  readonly hasHoles?: boolean;
  /** WAL is not placed, but fetched when it is asked for: the start of a shell command to which PostgreSQL's `%f` and a destination are added. */
  readonly fetchCommand?: string | null;
}

export interface RestoredConfig {
  readonly postgresqlConf: string;
  readonly autoConf: string;
  /** Settings of the source that were left out, to tell the operator. */
  readonly leftOut: readonly string[];
}

/** Taken over from the source never: places, connections to others, commands, and what needs libraries or locales that may not be here. */
const LEFT_OUT = [
  /^(data_directory|config_file|hba_file|ident_file|external_pid_file|stats_temp_directory)$/,
  /^(listen_addresses|unix_socket_directories|unix_socket_group|unix_socket_permissions|port|bonjour.*)$/,
  /^(archive_.*|restore_command|recovery_.*|primary_.*|promote_trigger_file|hot_standby.*|synchronous_standby_names|sync_replication_slots|synchronized_standby_slots|wal_receiver_.*)$/,
  /^ssl/,
  /^(shared_preload_libraries|session_preload_libraries|local_preload_libraries|jit_provider|dynamic_library_path|extension_control_path|extension_destdir|oauth_.*|krb_.*|gss_.*)$/,
  /^(logging_collector|log_directory|log_filename|log_destination|log_file_mode|syslog_.*|event_source)$/,
  /^lc_/,
  /^(huge_pages|huge_page_size|shared_buffers|max_connections|max_worker_processes|max_wal_senders|max_prepared_transactions|max_locks_per_transaction|max_logical_replication_workers|wal_level|track_commit_timestamp|wal_log_hints)$/,
  /^(io_method|debug_.*|allow_in_place_tablespaces|fsync|full_page_writes|zero_damaged_pages|ignore_.*|data_sync_retry|transaction_.*|cluster_name|application_name|role|session_authorization)$/,
  // Whatever a version to come may call them: what is run, what is loaded, where files are.
  /(_command|_commands|_library|_libraries|_directory|_directories|_file|_conninfo)$/,
  /^include/,
  /\./,
];

/** A name that is nothing but a name, and a value that is one line. PostgreSQL takes names in any case. */
function isPlain({ name, value }: CapturedSettings["settings"][number]): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !CONTROL_CHARACTER.test(value);
}

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/** Left out and worth telling: an operator who takes the cluster into service wants them back. */
const WORTH_TELLING = /^(shared_preload_libraries|session_preload_libraries|archive_mode|archive_command|synchronous_standby_names|listen_addresses|ssl)$/;

export function generateConfig(options: RestoredConfigOptions): RestoredConfig {
  const { captured, control } = options;
  const kept = captured.settings.filter((setting) => isPlain(setting) && !LEFT_OUT.some((pattern) => pattern.test(setting.name.toLowerCase())));
  const leftOut = captured.settings.filter(({ name, value }) => WORTH_TELLING.test(name) && value !== "" && value !== "off");
  const sourceBuffers = numberOf(captured, "shared_buffers", 16_384) * control.blockSize;
  const port = options.port ?? numberOf(captured, "port", 5432);
  const lines = [
    "# Written by holdfast for a restored cluster. The source's own files, where it kept them in its data directory,",
    "# are beside this one as *.source. Before taking the cluster into service, look at what was left out:",
    ...leftOut.map((setting) => `#   ${setting.name} = ${isPlain(setting) ? quote(setting.value) : "(not a plain value)"}`),
    "",
    ...kept.map(({ name, value }) => `${name} = ${quote(value)}`),
    "",
    "# What recovery demands (from pg_control and WAL), and what fits this machine.",
    `max_connections = ${control.maxConnections}`,
    `max_worker_processes = ${control.maxWorkerProcesses}`,
    `max_wal_senders = ${control.maxWalSenders}`,
    `max_prepared_transactions = ${control.maxPreparedTransactions}`,
    `max_locks_per_transaction = ${control.maxLocksPerTransaction}`,
    `track_commit_timestamp = ${control.trackCommitTimestamp ? "on" : "off"}`,
    `wal_log_hints = ${control.walLogHints ? "on" : "off"}`,
    `wal_level = ${control.walLevel}`,
    ...(options.inPlaceTablespaces ? ["allow_in_place_tablespaces = on"] : []),
    "huge_pages = try",
    `shared_buffers = ${Math.max(16, Math.floor(Math.min(sourceBuffers, options.sharedBuffersMaxBytes) / control.blockSize))}`,
    "",
    "# A subscription would take from its publisher what the source's own is to get. Reset it when the source is gone for good.",
    "max_logical_replication_workers = 0",
    "",
    `port = ${port}`,
    "listen_addresses = 'localhost'",
    `unix_socket_directories = ${quote(options.socketDirectory)}`,
    "",
  ];
  return { postgresqlConf: lines.join("\n"), autoConf: recoverySettings(options).join("\n"), leftOut: leftOut.map(({ name }) => name) };
}

function numberOf({ settings }: CapturedSettings, wanted: string, otherwise: number): number {
  const value = settings.find(({ name }) => name === wanted)?.value ?? "";
  return /^\d{1,10}$/.test(value) ? Number(value) : otherwise;
}

/** In postgresql.auto.conf, which has the last word. Safe to leave: they matter only while recovering, but for archive_mode. */
function recoverySettings(options: RestoredConfigOptions): string[] {
  const { primaryConninfo = null, hasHoles = false } = options;
  return [
    ...(primaryConninfo === null ? targetSettings(options) : standbySettings()),
    ...(hasHoles ? ["# Databases were left out: reset this once they are dropped.", "ignore_invalid_pages = on"] : []),
    "archive_mode = off",
    "archive_command = ''",
    "archive_cleanup_command = ''",
    "recovery_end_command = ''",
    `primary_conninfo = ${quote(primaryConninfo ?? "")}`,
    "primary_slot_name = ''",
    "synchronous_standby_names = ''",
    "",
  ];
}

function targetSettings(options: RestoredConfigOptions): string[] {
  return [
    "# Written by holdfast: recovery to one point, and nothing that reaches out.",
    `restore_command = ${quote(restoreCommandOf(options))}`,
    `recovery_target_lsn = ${quote(options.targetLsn)}`,
    "recovery_target_inclusive = on",
    `recovery_target_timeline = ${quote(String(options.timeline))}`,
    `recovery_target_action = ${quote(options.action)}`,
  ];
}

/** No target: it goes on with what its primary sends. The newest timeline that it can find is its own: of no other was a history placed. */
function standbySettings(): string[] {
  return [
    "# Written by holdfast: a standby. It replays the WAL that was placed, then follows its primary.",
    `restore_command = ${quote(STAGED_RESTORE_COMMAND)}`,
    "recovery_target_timeline = 'latest'",
    "hot_standby = on",
  ];
}

/** Folder of staged WAL in the data directory, and in it the list of what was staged. PostgreSQL runs commands with the data directory as current folder. */
export const STAGED_WAL_FOLDER = "holdfast-wal";
export const STAGED_LIST = "staged";

/**
 * Copies staged WAL with nothing but a shell. 1 ("no such file") only for what the list proves was never staged; a staged file that is gone, or a failing copy, is 126: PostgreSQL then stops,
 * where anything up to 125 would make it promote.
 */
const STAGED_RESTORE_COMMAND =
  `test -f ${STAGED_WAL_FOLDER}/${STAGED_LIST} || exit 126; ` +
  `grep -qxF %f ${STAGED_WAL_FOLDER}/${STAGED_LIST}; case $? in 0) cp ${STAGED_WAL_FOLDER}/%f "%p" || exit 126;; 1) exit 1;; *) exit 126;; esac`;

/**
 * As above, with what the list names fetched into the folder first, and taken away when it was copied. The list decides what does not exist: whatever goes wrong with what it names, a fetch that
 * says "does not exist" too, stops PostgreSQL.
 */
function restoreCommandOf({ fetchCommand = null }: RestoredConfigOptions): string {
  if (fetchCommand === null) return STAGED_RESTORE_COMMAND;
  const file = `${STAGED_WAL_FOLDER}/%f`;
  return (
    `test -f ${STAGED_WAL_FOLDER}/${STAGED_LIST} || exit 126; ` +
    `grep -qxF %f ${STAGED_WAL_FOLDER}/${STAGED_LIST}; case $? in 0) test -f ${file} || ${fetchCommand} %f ${file} || exit 126; cp ${file} "%p" || exit 126;; 1) exit 1;; *) exit 126;; esac; ` +
    `case %f in *.history) ;; *) rm -f ${file};; esac`
  );
}

/** A value in a configuration file: single quotes, doubled inside; backslashes too. */
function quote(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** Authentication for a restored cluster whose source kept its rules elsewhere: the operating-system user of the cluster, and passwords on loopback. */
export const DEFAULT_HBA = [
  "# Written by holdfast: the source kept its rules outside the data directory.",
  "local all all peer",
  "host all all 127.0.0.1/32 scram-sha-256",
  "host all all ::1/128 scram-sha-256",
  "",
].join("\n");
