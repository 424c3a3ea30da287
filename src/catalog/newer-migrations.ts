import { COMPACT_TIMES } from "./compact-times.ts";

/** Steps after those of migrations.ts, in their order: a new one goes to the end of this list. */
export const NEWER_MIGRATIONS: readonly string[] = [
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
