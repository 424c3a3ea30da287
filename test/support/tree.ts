import { createHash } from "node:crypto";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** Every file below a folder with a digest of its content, for comparing two trees. Links by their target. */
export async function digestTree(folder: string, ignore: (path: string) => boolean = () => false): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (ignore(path)) continue;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isSymbolicLink()) found.set(path, `-> ${await readlink(join(folder, path))}`);
      else
        found.set(
          path,
          createHash("sha256")
            .update(await readFile(join(folder, path)))
            .digest("hex"),
        );
    }
  };
  await walk("");
  return found;
}

/** All files below a folder, as paths relative to it, sorted. */
export async function listTree(folder: string): Promise<string[]> {
  return [...(await digestTree(folder)).keys()].toSorted();
}
