import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, open, readdir, readFile, unlink } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { codeOf, HoldfastError } from "../errors.ts";
import { generateSigningKey, signingKeyFromPem } from "./signing.ts";
import type { SigningKey } from "./signing.ts";

/**
 * What a host keeps of its own between runs, beside the catalog: its signing key, and for each repository the key id it trusts and the map keys it may use.
 * Losing it costs a new host key and a full backup, never data.
 */
export interface HostState {
  readonly folder: string;
  readonly signer: SigningKey;
  /** Whether any repository was opened from here before. */
  readonly knowsAny: boolean;
  /** What is remembered of a repository; an empty memory for one never seen. */
  recall(repositoryId: string): Promise<RepositoryMemory>;
  remember(repositoryId: string, memory: RepositoryMemory): Promise<void>;
}

export interface RepositoryMemory {
  readonly keyIds: readonly string[];
  /** Map keys by id, base64; the last one of a key of the repository is used for what is sealed to that. */
  readonly mapKeys: readonly RememberedMapKey[];
}

interface RememberedMapKey {
  readonly id: string;
  readonly key: string;
  /** Absent where it was remembered before there were rotations: the repository's first. */
  readonly keyId?: string | undefined;
}

const memorySchema = z.strictObject({
  keyIds: z.array(z.string()),
  mapKeys: z.array(z.strictObject({ id: z.string(), key: z.string(), keyId: z.string().optional() })),
});

export async function openHostState(folder: string): Promise<HostState> {
  await mkdir(path.join(folder, "repositories"), { recursive: true, mode: 0o700 }).catch((error: unknown) => refuseUnwritable(folder, error));
  const keyFile = path.join(folder, "host-key.pem");
  // Only where there is none: a full disk is no reason not to read.
  if (!existsSync(keyFile)) await createOnce(keyFile, generateSigningKey().toPem());
  return {
    folder,
    signer: signingKeyFromPem(await readFile(keyFile, "utf8")),
    knowsAny: (await readdir(path.join(folder, "repositories"))).length > 0,
    recall: (repositoryId) => recall(memoryFolder(folder, repositoryId)),
    remember: async (repositoryId, memory) => remember(memoryFolder(folder, repositoryId), memory),
  };
}

function refuseUnwritable(folder: string, error: unknown): never {
  if (!["EACCES", "EPERM", "EROFS"].includes(codeOf(error) ?? "")) throw error;
  throw new HoldfastError("HF-CONFIG", `the state folder ${folder} cannot be written by this account (${codeOf(error)})`, {
    hint: "run as the account that it belongs to; to read only, 'wal get', 'restore' and 'info' take --repository URL --key file:/path instead of the inventory",
  });
}

function memoryFolder(folder: string, repositoryId: string): string {
  if (!/^[0-9a-f-]{36}$/.test(repositoryId)) throw new HoldfastError("HF-STORAGE", `not a repository id: ${JSON.stringify(repositoryId)}`);
  return path.join(folder, "repositories", repositoryId);
}

/** The memory is a growing set of small files, one a key, so that two processes that learn at once both keep what they learned. */
async function recall(folder: string): Promise<RepositoryMemory> {
  return (await recallAll(folder)).memory;
}

/** What is remembered, and the file that the next thing to remember goes to. */
async function recallAll(folder: string): Promise<{ memory: RepositoryMemory; next: string }> {
  for (let n = 1, memory: RepositoryMemory = { keyIds: [], mapKeys: [] }; ; n++) {
    const file = path.join(folder, `${n}.json`);
    const found = await readMemory(file);
    if (found === null) return { memory, next: file };
    memory = found;
  }
}

async function remember(folder: string, memory: RepositoryMemory): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (;;) {
    const { memory: known, next } = await recallAll(folder);
    const merged = merge(known, memory);
    if (JSON.stringify(merged) === JSON.stringify(known) || (await createOnce(next, JSON.stringify(merged)))) return;
  }
}

function merge(a: RepositoryMemory, b: RepositoryMemory): RepositoryMemory {
  return {
    keyIds: [...new Set([...a.keyIds, ...b.keyIds])],
    mapKeys: [...new Map([...a.mapKeys, ...b.mapKeys].map((entry) => [entry.id, entry])).values()],
  };
}

async function readMemory(file: string): Promise<RepositoryMemory | null> {
  try {
    return memorySchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw new HoldfastError("HF-STORAGE", `${file} is damaged`, { hint: "delete it: this host will learn again from the repository, or make a full backup", cause: error });
  }
}

/** Writes a private file whole, unless it is there already. True if we made it. */
export async function createOnce(file: string, text: string): Promise<boolean> {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  const handle = await open(temporary, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
    await link(temporary, file);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await handle.close();
    await unlink(temporary);
  }
}
