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
];
