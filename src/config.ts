import { readFile } from "node:fs/promises";
import { codeOf, HoldfastError } from "./errors.ts";
import type { SecretRef } from "./policy/types.ts";

/** The only place that reads the environment, and where secrets are fetched from where the inventory says they are. */
export interface Environment {
  readonly configFile: string | null;
  /** The passphrase or identity for repositories given by address. */
  readonly key: string | null;
  readonly crashAt: string | undefined;
}

export function readEnvironment(): Environment {
  return {
    configFile: process.env["HOLDFAST_CONFIG"] ?? null,
    key: process.env["HOLDFAST_KEY"] ?? null,
    crashAt: process.env["HOLDFAST_CRASH_AT"],
  };
}

/** The secret behind a reference. Its value appears in no message. */
export async function resolveSecret(reference: SecretRef, purpose: string): Promise<string> {
  if (reference.kind === "env") {
    const value = process.env[reference.name];
    if (value === undefined || value === "")
      throw new HoldfastError("HF-KEY", `${purpose} is in the environment variable ${reference.name}, which is not set`, { hint: `set ${reference.name}` });
    return value;
  }
  try {
    return (await readFile(reference.path, "utf8")).trim();
  } catch (cause) {
    throw new HoldfastError("HF-KEY", `${purpose} is in ${reference.path}, which cannot be read (${codeOf(cause) ?? "error"})`, {
      hint: "check that the file is there and readable for this user",
      cause,
    });
  }
}

/** `env:NAME` or `file:/path` as it is written on a command line. Null: it is neither. */
export function parseSecretRef(text: string): SecretRef | null {
  if (/^env:[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return { kind: "env", name: text.slice(4) };
  if (/^file:\/.+/.test(text)) return { kind: "file", path: text.slice(5) };
  return null;
}
