import { readdir } from "node:fs/promises";
import { codeOf } from "../errors.ts";
import type { TreeSource } from "../policy/types.ts";
import { ok } from "./check-item.ts";
import type { CheckItem } from "./check-item.ts";

/** Whether there is a tree at all, and we may look into it: an empty one may be one that is not mounted. Files that cannot be read are found when it is backed up. */
export async function checkTree({ path }: TreeSource): Promise<CheckItem> {
  try {
    const names = await readdir(path);
    if (names.length === 0) return { name: "tree", outcome: "warning", detail: `${path} is empty`, hint: "is it mounted?" };
    return process.getuid?.() === 0
      ? ok("tree", `${path} can be read`)
      : {
          name: "tree",
          outcome: "warning",
          detail: `${path} can be read, as far as this user may`,
          hint: "files that only others may read will be missing, and are named: run as root to read all",
        };
  } catch (error) {
    return { name: "tree", outcome: "fail", detail: `${path} cannot be read (${codeOf(error) ?? "error"})`, hint: "check that it is there and mounted" };
  }
}
