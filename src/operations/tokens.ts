import { whyNotInForce } from "../access/authenticate.ts";
import type { Role, Scope } from "../domain/access.ts";
import { makeToken } from "../access/token.ts";
import { findToken, listTokens } from "../catalog/tokens.ts";
import type { TokenRecord } from "../catalog/tokens.ts";
import { HoldfastError, must } from "../errors.ts";
import { recordEntry } from "./record-run.ts";
import type { Journal } from "./record-run.ts";

export interface TokenWish {
  readonly role: Role;
  /** Null: after its role and id. */
  readonly name: string | null;
  readonly scope: Scope;
  /** Null: until it is revoked. */
  readonly expiresAfterSeconds: number | null;
  /** Who asks for it. */
  readonly by: string;
}

/** Makes a token and puts its digest on record. The token is in the answer, and nowhere else. */
export async function addToken(journal: Journal, { role, name, scope, expiresAfterSeconds, by }: TokenWish): Promise<{ token: string; record: TokenRecord }> {
  const { id, token, sha256 } = makeToken();
  const chosen = name ?? `${role}-${id.slice(0, 4)}`;
  const namesake = listTokens(journal.catalog, journal.evidence.writer).find((other) => other.name === chosen && whyNotInForce(other, journal.clock.now()) === null);
  if (namesake !== undefined)
    throw new HoldfastError("HF-USAGE", `there is a token named ${chosen} in force`, {
      hint: "names tell people apart in the audit log: choose another, or revoke that one first",
    });
  const expiresAt = expiresAfterSeconds === null ? null : new Date(journal.clock.now().getTime() + expiresAfterSeconds * 1000).toISOString();
  await recordEntry(journal, "token.added", { id, name: chosen, role, scope, sha256, expiresAt, by });
  await journal.copyToRepositories();
  return { token, record: must(findToken(journal.catalog, journal.evidence.writer, id), "the token that was just put on record") };
}

/** Ends a token, by its id or its name. One that was revoked before stays as it was. */
export async function revokeToken(journal: Journal, { wanted, by }: { wanted: string; by: string }): Promise<TokenRecord> {
  const { writer } = journal.evidence;
  const tokens = listTokens(journal.catalog, writer);
  const found =
    tokens.find(({ id }) => id === wanted) ?? tokens.findLast(({ name, revokedAt }) => name === wanted && revokedAt === null) ?? tokens.findLast(({ name }) => name === wanted);
  if (found === undefined) throw new HoldfastError("HF-USAGE", `there is no token ${JSON.stringify(wanted)}`, { hint: "see 'holdfast token list'" });
  if (found.revokedAt !== null) return found;
  await recordEntry(journal, "token.revoked", { id: found.id, name: found.name, role: found.role, by });
  await journal.copyToRepositories();
  return must(findToken(journal.catalog, writer, found.id), "the token that was just revoked");
}
