import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { parseSecretRef, resolveSecret } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import type { SecretRef } from "../policy/types.ts";
import { createOnce } from "../repository/host-state.ts";
import { formatPassphrase } from "../repository/identity.ts";

/** The passphrase behind a reference. A file that does not exist yet is made, with a passphrase of 150 random bits. */
export async function findOrMakePassphrase(reference: SecretRef, purpose: string): Promise<string> {
  if (reference.kind === "file" && !existsSync(reference.path)) {
    await mkdir(path.dirname(reference.path), { recursive: true });
    await createOnce(reference.path, `${formatPassphrase(randomBytes(30))}\n`);
  }
  return resolveSecret(reference, purpose);
}

/** Where a secret is, as it is written on a command line. */
export function requireSecretRef(option: string, text: string): SecretRef {
  const reference = parseSecretRef(text);
  if (reference !== null) return reference;
  throw new HoldfastError("HF-USAGE", `${option} says where it is, not the secret itself`, { hint: `${option} env:NAME or ${option} file:/path` });
}

/** In words, for the recovery sheet. */
export function placeOf(reference: SecretRef): string {
  if (reference.kind === "env") return `the environment variable ${reference.name}`;
  return reference.kind === "file" ? reference.path : `the program ${reference.command[0] ?? ""}`;
}
