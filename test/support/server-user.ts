import { readFile } from "node:fs/promises";

/** The account a server runs as. PostgreSQL refuses to run as root. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Who runs test servers: ourselves, or where we are root `postgres`, else `nobody`. */
export async function serverUser(): Promise<Owner> {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { uid, gid: process.getgid?.() ?? 0 };
  const accounts = parseAccounts(await readFile("/etc/passwd", "utf8"));
  const owner = accounts.get("postgres") ?? accounts.get("nobody");
  if (owner === undefined) throw new Error("tests run as root, and there is neither a user 'postgres' nor 'nobody' to run PostgreSQL as");
  return owner;
}

/** Options for child_process: only root may ask for another account. */
export function asUser(owner: Owner): Partial<Owner> {
  return process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {};
}

function parseAccounts(passwd: string): Map<string, Owner> {
  const accounts = new Map<string, Owner>();
  for (const line of passwd.split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name !== undefined && uid !== undefined && gid !== undefined) accounts.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return accounts;
}
