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
  // Years of history: intervals of slots say their schedule and what of them is not in the evidence yet, attempts are counted, and totals are kept instead of counted again.
  `
  alter table runs drop column writer;
  alter table runs add column schedule text;
  alter table runs add column attempt integer not null default 1;
  alter table runs add column retryable integer not null default 0;
  alter table runs add column pending_from text;
  alter table runs add column pending_slots integer not null default 0;
  create index runs_by_slot on runs (source, operation, type, scheduled_for) where scheduled_for is not null;
  create index runs_pending on runs (source) where pending_from is not null;
  create index runs_passed_over on runs (source, until) where until is not null and outcome in ('missed', 'superseded', 'skipped');

  create table run_totals (
    source text not null,
    operation text not null,
    type text not null,
    outcome text not null,
    count integer not null,
    oldest_at text not null,
    newest_at text not null,
    newest_id text not null,
    primary key (source, operation, type, outcome)
  ) strict, without rowid;
  insert into run_totals
    select source, operation, coalesce(type, ''), outcome, sum(slots), min(started_at), max(started_at), id from runs where outcome <> 'running' group by 1, 2, 3, 4;

  create table pauses (
    id text primary key,
    source text not null,
    from_at text not null,
    until_at text not null,
    reason text not null,
    paused_by text not null,
    resumed_at text,
    resumed_by text
  ) strict;
  create index pauses_by_source on pauses (source, until_at);

  create table commitments (
    writer text not null,
    sequence integer not null,
    from_at text not null,
    until_at text not null,
    sha256 text not null,
    facts text not null,
    primary key (writer, sequence)
  ) strict;

  create table thinned (
    one integer primary key check (one = 1),
    at text not null
  ) strict;

  create table scheduler_holder (
    one integer primary key check (one = 1),
    holder text not null,
    at text not null
  ) strict;

  create table exposure_spans (
    source text not null,
    repository text not null,
    at text not null,
    until text not null,
    seconds real,
    bytes integer,
    samples integer not null,
    primary key (source, repository, at)
  ) strict, without rowid;
  alter table snapshots add column brief text;
  `,
  // Policies as they were, so that the one in force can be loaded when the file is another.
  `
  create table policy_versions (
    writer text not null,
    sequence integer not null,
    name text not null,
    at text not null,
    by text not null,
    reason text,
    category text not null,
    written text not null,
    difference text not null,
    accepted_by integer,
    approved_by text,
    approved_at text,
    primary key (writer, sequence)
  ) strict;
  create index policy_versions_by_name on policy_versions (writer, name);
  `,
  // What was verified when, piece by piece.
  `
  create table verify_ledger (
    source text not null,
    repository text not null,
    unit text not null,
    kind text not null,
    number integer not null,
    bytes integer not null,
    tier text,
    ok integer,
    at text,
    pending integer not null default 0,
    primary key (source, repository, unit, kind, number)
  ) strict, without rowid;
  create index verify_ledger_pending on verify_ledger (source, at) where pending = 1;
  `,
  ...NEWER_MIGRATIONS,
];
