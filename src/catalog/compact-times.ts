/** A time that was text, as milliseconds. */
const asMs = (column: string): string => `cast(round(unixepoch(${column}, 'subsec') * 1000) as integer)`;

/**
 * Times in what has many rows are milliseconds, and a schedule is written once: years of a thousand sources are a third smaller. What was passed over is found by its beginning, which never changes.
 */
export const COMPACT_TIMES = `
  create table schedules (
    id integer primary key,
    text text not null unique
  ) strict;
  insert into schedules (text) select distinct schedule from runs where schedule is not null;

  create table compact_runs (
    id text primary key,
    source text not null,
    operation text not null,
    type text,
    trigger text not null,
    scheduled_for integer,
    started_at integer not null,
    finished_at integer,
    outcome text not null,
    reason text,
    slots integer not null default 1,
    until integer,
    holder text,
    sequence integer not null,
    schedule integer,
    attempt integer not null default 1,
    retryable integer not null default 0,
    pending_from integer,
    pending_slots integer not null default 0,
    facts text not null
  ) strict;
  insert into compact_runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, sequence, schedule, attempt, retryable, pending_from, pending_slots, facts)
    select id, source, operation, type, trigger, ${asMs("scheduled_for")}, ${asMs("started_at")}, ${asMs("finished_at")}, outcome, reason, slots, ${asMs("until")}, holder, sequence,
      (select schedules.id from schedules where schedules.text = runs.schedule), attempt, retryable, ${asMs("pending_from")}, pending_slots, facts from runs;
  drop table runs;
  alter table compact_runs rename to runs;
  create index runs_by_source on runs (source, operation, started_at);
  create index runs_by_time on runs (started_at);
  create index runs_open on runs (outcome) where outcome = 'running';
  create index runs_by_slot on runs (source, operation, type, scheduled_for) where scheduled_for is not null;
  create index runs_pending on runs (source) where pending_from is not null;
  create index runs_passed_over on runs (source, operation, scheduled_for) where outcome in ('missed', 'superseded', 'skipped');

  create table compact_exposure (
    source text not null,
    repository text not null,
    at integer not null,
    seconds real,
    bytes integer,
    primary key (source, repository, at)
  ) strict, without rowid;
  insert or ignore into compact_exposure (source, repository, at, seconds, bytes) select source, repository, ${asMs("at")}, seconds, bytes from exposure;
  drop table exposure;
  alter table compact_exposure rename to exposure;

  create table compact_spans (
    source text not null,
    repository text not null,
    at integer not null,
    until integer not null,
    seconds real,
    bytes integer,
    samples integer not null,
    primary key (source, repository, at)
  ) strict, without rowid;
  insert or ignore into compact_spans (source, repository, at, until, seconds, bytes, samples)
    select source, repository, ${asMs("at")}, ${asMs("until")}, seconds, bytes, samples from exposure_spans;
  drop table exposure_spans;
  alter table compact_spans rename to exposure_spans;
  `;
