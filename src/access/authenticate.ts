import type { Catalog } from "../catalog/catalog.ts";
import { findToken } from "../catalog/tokens.ts";
import type { TokenRecord } from "../catalog/tokens.ts";
import { isRole } from "../domain/access.ts";
import type { Identity } from "./identity.ts";
import { isTokenOf, tokenId } from "./token.ts";

/** Where tokens are looked up: the catalog, and the host (its evidence writer) whose tokens alone count. */
export interface TokenStore {
  readonly catalog: Catalog;
  readonly writer: string;
  readonly now: Date;
}

/** Who showed a token; or why it opens nothing. `token`: the id, where one exists and the secret was right. */
type Authentication = { readonly ok: true; readonly identity: Identity } | { readonly ok: false; readonly why: Refusal; readonly token: string | null };

type Refusal = "unknown" | "expired" | "revoked";

/** What is compared with where no token has the id: not to be found by how long the answer takes. */
const NOBODY = "0".repeat(64);

/** Who is behind a token. Whoever shows a wrong one learns nothing about those there are. */
export function authenticate({ catalog, writer, now }: TokenStore, bearer: string): Authentication {
  const id = tokenId(bearer);
  const record = id === null ? null : findToken(catalog, writer, id);
  if (!isTokenOf(bearer, record?.sha256 ?? NOBODY) || record === null || !isRole(record.role)) return { ok: false, why: "unknown", token: null };
  const why = whyNotInForce(record, now);
  if (why !== null) return { ok: false, why, token: record.id };
  return { ok: true, identity: { kind: "token", id: record.id, name: record.name, role: record.role, scope: record.scope } };
}

/** Null: it is in force. */
export function whyNotInForce({ revokedAt, expiresAt }: Pick<TokenRecord, "revokedAt" | "expiresAt">, now: Date): "expired" | "revoked" | null {
  if (revokedAt !== null) return "revoked";
  // Anything that is no time is in the past.
  return expiresAt === null || Date.parse(expiresAt) > now.getTime() ? null : "expired";
}
