import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { removeTree } from "../../files/remove-tree.ts";
import { stopLeftServer } from "../../postgres/left-server.ts";

/** Drills that died leave their folder, and perhaps a server. Those whose process is gone are cleared away before the next one begins. */
export async function sweepScratch(directory: string): Promise<string[]> {
  const swept: string[] = [];
  for (const name of await readdir(directory).catch((): string[] => [])) {
    const owner = /^\d{8}T\d+Z-([0-9a-z]+)-[0-9a-z]+$/.exec(name)?.[1];
    const folder = path.join(directory, name);
    if (owner === undefined || (await isAlive(owner)) || (await isKept(folder))) continue;
    await stopLeftServer(path.join(folder, "data"));
    await removeTree(folder);
    swept.push(name);
  }
  return swept;
}

/** In the folder of a drill that somebody wanted to look into: it is theirs to delete. */
export const KEPT_MARKER = "kept";

async function isKept(folder: string): Promise<boolean> {
  return (await readdir(folder).catch((): string[] => [])).includes(KEPT_MARKER);
}

/** A run id holds the process id that made it, in base 36. */
async function isAlive(owner: string): Promise<boolean> {
  const pid = Number.parseInt(owner, 36);
  return pid === process.pid || (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null)) !== null;
}
