import { rmSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Owner } from "./server-user.ts";

/** A Unix socket path holds at most 107 bytes; ours is `<folder>/.s.PGSQL.<port>`. */
const LONGEST_PARENT = 60;

export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

const live = new Set<string>();
process.once("exit", () => {
  for (const path of live) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
});

/** A temporary folder with a short name. Removed when disposed, and also when the process ends in a way that disposes of nothing. */
export async function openScratchFolder(owner?: Owner): Promise<ScratchFolder> {
  const parent = tmpdir().length > LONGEST_PARENT ? "/tmp" : tmpdir();
  const path = await mkdtemp(join(parent, "hf-"));
  live.add(path);
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
      live.delete(path);
    },
  };
}
