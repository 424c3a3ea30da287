import { NEWER_MIGRATIONS } from "./newer-migrations.ts";

/** The forms the catalog has had, in order. One is never changed after it was released; a new one is appended. */
export const MIGRATIONS: readonly string[] = [
  `
  create table runs (
    id text primary key,
    source text not null,
    operation text not null,
    type text,
    trigger text not null,
    scheduled_for text,
    started_at text not null,
    finished_at text,
    outcome text not null,
    reason text,
    slots integer not null default 1,
    until text,
    holder text,
    facts text not null,
    writer text not null,
    sequence integer not null
  ) strict;
  create index runs_by_source on runs (source, operation, started_at);
  create index runs_by_time on runs (started_at);
  create index runs_open on runs (outcome) where outcome = 'running';

  create table verified (
    repository text not null,
    source text not null,
    backup text not null,
    tier text not null,
    ok integer not null,
    at text not null,
    primary key (repository, source, backup)
  ) strict;

  create table exposure (
    source text not null,
    repository text not null,
    at text not null,
    seconds real,
    bytes integer,
    primary key (source, repository, at)
  ) strict;

  create table heartbeats (
    source text not null,
    sequence integer not null,
    at text not null,
    lsn text not null,
    primary key (source, sequence)
  ) strict;

  create table snapshots (
    source text primary key,
    at text not null,
    info text not null
  ) strict;

  create table applied (
    writer text primary key,
    sequence integer not null
  ) strict;
  `,
  // Tokens of the API, projected from evidence; of each only the SHA-256.
  `
  create table tokens (
    writer text not null,
    id text not null,
    name text not null,
    role text not null,
    scope text,
    sha256 text not null,
    added_at text not null,
    added_by text,
    expires_at text,
    revoked_at text,
    primary key (writer, id)
  ) strict;
  `,
  `
  create table commands (
    id text primary key,
    kind text not null,
    source text not null,
    args text not null,
    idempotency_key text not null,
    requested_by text not null,
    requested_at text not null,
    state text not null,
    reason text,
    ended_at text,
    unique (requested_by, idempotency_key)
  ) strict;
  create index commands_queued on commands (requested_at) where state = 'queued';
  create index commands_ended on commands (ended_at);
  `,
  `
  create table alerts (
    id text primary key,
    key text not null,
    kind text not null,
    severity text not null,
    source text,
    repository text,
    title text not null,
    detail text,
    what_to_do text not null,
    since text not null,
    raised_at text not null,
    acknowledged_at text,
    acknowledged_by text,
    acknowledge_reason text,
    resolved_at text
  ) strict;
  create index alerts_open on alerts (raised_at) where resolved_at is null;
  create index alerts_by_time on alerts (raised_at);

  create table alert_deliveries (
    alert text not null,
    channel text not null,
    event text not null,
    state text not null,
    attempts integer not null,
    at text not null,
    primary key (alert, channel, event)
  ) strict;
  create index alert_deliveries_waiting on alert_deliveries (channel) where state = 'waiting';

  create table alert_channels (
    channel text primary key,
    failing_since text,
    error text,
    last_success_at text
  ) strict;

  create table wal_losses (
    source text primary key,
    at text not null
  ) strict;
  `,
  // How each source stood when it was last observed, in one row.
  `
  create table summaries (
    source text primary key,
    at text not null,
    summary text not null
  ) strict;
  `,
  // Sessions of people in browsers.
  `
  create table sessions (
    sha256 text primary key,
    csrf text not null,
    token_id text,
    identity text not null,
    started_at text not null,
    expires_at text not null
  ) strict;
  create index sessions_by_start on sessions (started_at);
  `,
  // How full each repository was.
  `
  create table capacity (
    repository text not null,
    at text not null,
    used_bytes integer,
    free_bytes integer,
    primary key (repository, at)
  ) strict;
  `,
  // Refused calls and changes of access, for alerts.
  `
  create table access_events (
    writer text not null,
    sequence integer not null,
    at text not null,
    kind text not null,
    text text not null,
    count integer not null,
    primary key (writer, sequence)
  ) strict;
  create index access_events_by_time on access_events (at);
  `,
  // Everything on record that is not of a run, and what happened for those who want to be told. Every entry of this host is brought in once more, which changes nothing else.
  `
  create table entries (
    writer text not null,
    sequence integer not null,
    at text not null,
    kind text not null,
    source text,
    by text,
    facts text not null,
    primary key (writer, sequence)
  ) strict;
  create index entries_by_time on entries (at);
  create index entries_by_kind on entries (kind, at);

  create table events (
    id integer primary key autoincrement,
    at text not null,
    kind text not null,
    source text,
    data text not null
  ) strict;

  create table epoch (
    one integer primary key,
    id text not null
  ) strict;

  delete from applied;
  `,
  ...NEWER_MIGRATIONS,
];
