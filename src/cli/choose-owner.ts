import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { HoldfastError } from "../errors.ts";
import { ownerOf } from "../operations/restore/restore-target-folder.ts";
import { findUser, serverUser } from "../postgres/process.ts";
import type { RunAs } from "../postgres/process.ts";
import type { Reading } from "./action.ts";

/** As root files must belong to somebody else: PostgreSQL does not run as root. */
export async function chooseOwner(named: string | undefined, reading: Reading, folder: string): Promise<RunAs | null> {
  if (process.getuid?.() !== 0) return null;
  if (named !== undefined) {
    const user = await findUser(named);
    if (user === null || user.uid === 0) throw new HoldfastError("HF-USAGE", `${named} cannot own a cluster`, { hint: "name a user that is there and is not root" });
    return user;
  }
  const configured = reading.app?.inventory.postgres.runAs ?? null;
  if (configured !== null) return serverUser(configured);
  const parent = await ownerOf(path.dirname(folder));
  return parent !== null && parent.uid !== 0 ? parent : serverUser(null);
}

const USUAL_SOCKETS = "/var/run/postgresql";

/** Where PostgreSQL of this machine has its sockets, if the owner of the cluster may write there; else where everybody may. */
export async function chooseSocketDirectory(owner: RunAs | null): Promise<string> {
  const info = await stat(USUAL_SOCKETS).catch(() => null);
  if (info === null) return tmpdir();
  const { uid, gid } = owner ?? { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  const writable = info.uid === uid || (info.gid === gid && (info.mode & 0o020) !== 0) || (info.mode & 0o002) !== 0;
  return writable ? USUAL_SOCKETS : tmpdir();
}
