import { stat } from "node:fs/promises";
import { codeOf, HoldfastError } from "../errors.ts";

/**
 * Folders are made as they are needed: where the filesystem with the store was unmounted, that would fill the bare mount point, and call it durable; and all that was
 * stored would look deleted. So what was the store's folder once must stay the same folder. (A write that has begun cannot end elsewhere: its temporary file is named in
 * the folder that is gone.)
 */
export function rootGuard(root: string): () => Promise<void> {
  let known: { readonly dev: number; readonly ino: number } | null = null;
  return async () => {
    const now = await stat(root).catch((error: unknown) => {
      if (isMissing(error)) return null;
      throw error;
    });
    if (known !== null && (now === null || now.dev !== known.dev || now.ino !== known.ino))
      throw new HoldfastError("HF-STORAGE", `${root} is not the folder it was: its filesystem was unmounted, or it was replaced`, {
        hint: "mount it again; nothing was written to what is there now",
        facts: { folder: root },
      });
    if (now !== null) known ??= { dev: now.dev, ino: now.ino };
  };
}

/** Whether the operating system says that a file, or a folder on the way to it, is not there. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}
