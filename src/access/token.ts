import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * A token is `hf_<id>_<secret>`: the id finds its record, 256 random bits prove it. The prefix lets scanners find one that was leaked.
 * Random enough that a plain SHA-256 cannot be turned back; stretching is for what people make up.
 */
const ID_BYTES = 6;
const SECRET_BYTES = 32;
const TOKEN = /^hf_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

export interface NewToken {
  readonly id: string;
  /** Shown to its holder once, and kept nowhere. */
  readonly token: string;
  readonly sha256: string;
}

export function makeToken(): NewToken {
  const id = randomBytes(ID_BYTES).toString("hex");
  const token = `hf_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, token, sha256: digestOf(token).toString("hex") };
}

/** The id in what looks like a token; null: it does not look like one. */
export function tokenId(written: string): string | null {
  return TOKEN.exec(written)?.[1] ?? null;
}

/** Whether the digest is that of the token, in the same time wherever they differ. */
export function isTokenOf(written: string, sha256: string): boolean {
  const [shown, kept] = [digestOf(written), Buffer.from(sha256, "hex")];
  return shown.length === kept.length && timingSafeEqual(shown, kept);
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
