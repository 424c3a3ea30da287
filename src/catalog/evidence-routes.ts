import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";

/** Ways that evidence goes besides the repositories: to a time-stamp authority, and to a second place. */
export const EVIDENCE_ROUTES = ["timestamps", "second"] as const;
export type EvidenceRoute = (typeof EVIDENCE_ROUTES)[number];

/** How it stands with one, by what this host last tried. */
export interface RouteState {
  readonly route: EvidenceRoute;
  /** The last entry of this host that went this way; null: none, or not known. */
  readonly sequence: number | null;
  /** Of a stamp: the time that the authority said. */
  readonly at: string | null;
  readonly lastSuccessAt: string | null;
  readonly triedAt: string | null;
  /** Null: it works, or was never tried. */
  readonly failingSince: string | null;
  readonly error: string | null;
  /** What is there is not what this host has: one of the two was cut off, or written anew. */
  readonly diverged: boolean;
}

export function routeWorked(catalog: Catalog, { route, sequence, at }: Pick<RouteState, "route" | "sequence" | "at">, now: Date): void {
  catalog.run(
    `insert into evidence_routes (route, sequence, at, last_success_at, tried_at) values (:route, :sequence, :at, :now, :now)
     on conflict (route) do update set sequence = excluded.sequence, at = excluded.at, last_success_at = excluded.last_success_at, tried_at = excluded.tried_at, failing_since = null, error = null, diverged = 0`,
    { route, sequence, at, now: now.toISOString() },
  );
}

export function routeFailed(catalog: Catalog, { route, error, diverged }: { route: EvidenceRoute; error: string; diverged: boolean }, now: Date): void {
  catalog.run(
    `insert into evidence_routes (route, tried_at, failing_since, error, diverged) values (:route, :now, :now, :error, :diverged)
     on conflict (route) do update set tried_at = excluded.tried_at, failing_since = coalesce(failing_since, excluded.failing_since), error = excluded.error, diverged = excluded.diverged`,
    { route, error, diverged: diverged ? 1 : 0, now: now.toISOString() },
  );
}

export function routeState(catalog: Catalog, route: EvidenceRoute): RouteState {
  const [row] = catalog.all("select * from evidence_routes where route = :route", { route });
  return row === undefined ? { route, sequence: null, at: null, lastSuccessAt: null, triedAt: null, failingSince: null, error: null, diverged: false } : stateOf(row, route);
}

function stateOf(row: SqlRow, route: EvidenceRoute): RouteState {
  return {
    route,
    sequence: numberOrNull(row, "sequence"),
    at: textOrNull(row, "at"),
    lastSuccessAt: textOrNull(row, "last_success_at"),
    triedAt: textOrNull(row, "tried_at"),
    failingSince: textOrNull(row, "failing_since"),
    error: textOrNull(row, "error"),
    diverged: textOf(row, "diverged") === "1",
  };
}
