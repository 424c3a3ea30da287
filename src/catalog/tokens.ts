import type { Catalog, SqlRow } from "./catalog.ts";
import { textOf, textOrNull } from "./catalog.ts";
import type { HistoryEntry } from "./history-entry.ts";

/**
 * Tokens of the API, projected from evidence: `token.added`, `token.revoked`. Kept by writer and asked for by writer: what another host put on record opens nothing here.
 */
export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** Names of sources, and `label=value`; null: every source. */
  readonly scope: readonly string[] | null;
  /** Hex, of the whole token as its holder shows it. The token itself is kept nowhere. */
  readonly sha256: string;
  readonly addedAt: string;
  readonly addedBy: string | null;
  /** Null: it does not end by itself. */
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

/** Brings an entry about a token into the catalog; any other changes nothing. The first word about an id holds: what is revoked is not added again. */
export function applyTokenEntry(catalog: Catalog, { writer, at, kind, facts }: HistoryEntry): void {
  const id = facts["id"];
  if (typeof id !== "string") return;
  if (kind === "token.revoked") catalog.run("update tokens set revoked_at = :at where writer = :writer and id = :id and revoked_at is null", { writer, id, at });
  const { name, role, scope, sha256, by, expiresAt } = facts;
  if (kind !== "token.added" || typeof name !== "string" || typeof role !== "string" || typeof sha256 !== "string") return;
  catalog.run(
    `insert into tokens (writer, id, name, role, scope, sha256, added_at, added_by, expires_at) values (:writer, :id, :name, :role, :scope, :sha256, :at, :by, :expiresAt)
     on conflict (writer, id) do nothing`,
    {
      writer,
      id,
      name,
      role,
      sha256,
      at,
      // What cannot be read as a scope is the narrowest one.
      scope: scope === null ? null : JSON.stringify(Array.isArray(scope) ? scope.filter((term) => typeof term === "string") : []),
      by: typeof by === "string" ? by : null,
      expiresAt: typeof expiresAt === "string" ? expiresAt : null,
    },
  );
}

/** Every token this writer ever added, oldest first. */
export function listTokens(catalog: Catalog, writer: string): TokenRecord[] {
  return catalog.all("select * from tokens where writer = :writer order by added_at, id", { writer }).map(tokenOf);
}

export function findToken(catalog: Catalog, writer: string, id: string): TokenRecord | null {
  const [row] = catalog.all("select * from tokens where writer = :writer and id = :id", { writer, id });
  return row === undefined ? null : tokenOf(row);
}

function tokenOf(row: SqlRow): TokenRecord {
  const scope = textOrNull(row, "scope");
  return {
    id: textOf(row, "id"),
    name: textOf(row, "name"),
    role: textOf(row, "role"),
    scope: scope === null ? null : (JSON.parse(scope) as string[]),
    sha256: textOf(row, "sha256"),
    addedAt: textOf(row, "added_at"),
    addedBy: textOrNull(row, "added_by"),
    expiresAt: textOrNull(row, "expires_at"),
    revokedAt: textOrNull(row, "revoked_at"),
  };
}
