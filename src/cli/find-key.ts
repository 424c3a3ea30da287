import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { readEnvironment, resolveSecret } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import { requireSecretRef } from "./passphrase.ts";

/** The key of a repository given by its address: `--key`, else HOLDFAST_KEY, else asked for on a terminal. */
export async function findKey(option: string | undefined): Promise<string> {
  if (option !== undefined) return resolveSecret(requireSecretRef("--key", option), "the key");
  const { key } = readEnvironment();
  if (key !== null && key !== "") return key;
  if (process.stdin.isTTY && process.stderr.isTTY) return askHidden("passphrase: ");
  throw new HoldfastError("HF-KEY", "the repository needs its passphrase, and none was given", { hint: "set HOLDFAST_KEY, or name it: --key env:NAME or file:/path" });
}

/** Asks without showing what is typed. */
async function askHidden(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve) => {
      reader.question("", resolve);
    });
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}
