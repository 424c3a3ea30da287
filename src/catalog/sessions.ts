import type { Catalog, SqlRow } from "./catalog.ts";
import { textOf, textOrNull } from "./catalog.ts";

/** Sessions of people in browsers. Not history, and not rebuilt: who has none signs in again. */
export interface SessionRecord {
  /** Hex, of what the cookie holds; that itself is kept nowhere. */
  readonly sha256: string;
  /** What a form must send back, so that no other site can send it for its reader. */
  readonly csrf: string;
  /** The token it was opened with, which it does not outlive; null: opened by a sign-in service. */
  readonly tokenId: string | null;
  /** Who it is, as JSON. */
  readonly identity: string;
  readonly startedAt: string;
  readonly expiresAt: string;
}

/** So many are open at once; the oldest goes. */
const MOST_SESSIONS = 10_000;

export function insertSession(catalog: Catalog, session: SessionRecord): void {
  catalog.transaction(() => {
    catalog.run("delete from sessions where expires_at <= :now or sha256 in (select sha256 from sessions order by started_at desc limit -1 offset :most)", {
      now: session.startedAt,
      most: MOST_SESSIONS - 1,
    });
    catalog.run(`insert into sessions (sha256, csrf, token_id, identity, started_at, expires_at) values (:sha256, :csrf, :tokenId, :identity, :startedAt, :expiresAt)`, {
      ...session,
    });
  });
}

export function findSession(catalog: Catalog, sha256: string): SessionRecord | null {
  const [row] = catalog.all("select * from sessions where sha256 = :sha256", { sha256 });
  return row === undefined ? null : sessionOf(row);
}

export function deleteSession(catalog: Catalog, sha256: string): void {
  catalog.run("delete from sessions where sha256 = :sha256", { sha256 });
}

function sessionOf(row: SqlRow): SessionRecord {
  return {
    sha256: textOf(row, "sha256"),
    csrf: textOf(row, "csrf"),
    tokenId: textOrNull(row, "token_id"),
    identity: textOf(row, "identity"),
    startedAt: textOf(row, "started_at"),
    expiresAt: textOf(row, "expires_at"),
  };
}
