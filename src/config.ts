import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
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
  if (reference.kind === "command") return runForSecret(reference.command, purpose);
  try {
    return (await readFile(reference.path, "utf8")).trim();
  } catch (cause) {
    throw new HoldfastError("HF-KEY", `${purpose} is in ${reference.path}, which cannot be read (${codeOf(cause) ?? "error"})`, {
      hint: "check that the file is there and readable for this user",
      cause,
    });
  }
}

/** Whose account this process runs under. One without a name, as containers are given, is its number. */
export function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

const SECRET_COMMAND_MS = 30_000;

/** What a program prints. Neither that nor its complaints are repeated anywhere: either may hold the secret. */
async function runForSecret([program = "", ...args]: readonly string[], purpose: string): Promise<string> {
  const { runProgram } = await import("./postgres/process.ts");
  const failure = (what: string, cause?: unknown): HoldfastError =>
    new HoldfastError("HF-KEY", `${purpose} comes from the program ${program}, which ${what}`, {
      hint: "run it by hand as this user: it must print the secret and nothing else",
      cause,
    });
  const { exitCode, stdout, timedOut } = await runProgram(program, args, { timeoutMs: SECRET_COMMAND_MS }).catch((cause: unknown) => {
    throw failure("cannot be run", cause);
  });
  if (timedOut) throw failure(`did not end within ${SECRET_COMMAND_MS / 1000} s`);
  if (exitCode !== 0) throw failure(`ended with exit code ${exitCode ?? "none"}`);
  const secret = stdout.trim();
  if (secret === "" || secret.includes("\n")) throw failure(secret === "" ? "printed nothing" : "printed more than one line");
  return secret;
}

/** `env:NAME` or `file:/path` as it is written on a command line. Null: it is neither. */
export function parseSecretRef(text: string): SecretRef | null {
  if (/^env:[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return { kind: "env", name: text.slice(4) };
  if (/^file:\/.+/.test(text)) return { kind: "file", path: text.slice(5) };
  return null;
}
