import { COMPACT_TIMES } from "./compact-times.ts";

/** Steps after those of migrations.ts, in their order: a new one goes to the end of this list. */
export const NEWER_MIGRATIONS: readonly string[] = [
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
  // How far a run has come, while it goes on.
  `
  create table run_progress (
    run text primary key,
    at text not null,
    phase text not null,
    done_bytes integer not null,
    total_bytes integer
  ) strict, without rowid;
  `,
  COMPACT_TIMES,
  // How it stands with the ways that evidence goes besides the repositories, as this host last tried them.
  `
  create table evidence_routes (
    route text primary key,
    sequence integer,
    at text,
    last_success_at text,
    tried_at text,
    failing_since text,
    error text,
    diverged integer not null default 0
  ) strict, without rowid;
  `,
];
