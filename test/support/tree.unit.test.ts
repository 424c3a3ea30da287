import { mkdirSync, renameSync, rmSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openScratchFolder } from "./scratch-folder.ts";
import { digestTree, listTree } from "./tree.ts";

describe("a tree", () => {
  let scratch: Awaited<ReturnType<typeof openScratchFolder>>;
  let root: string;

  beforeEach(async () => {
    scratch = await openScratchFolder();
    root = join(scratch.path, "tree");
    await mkdir(join(root, "parts/deep"), { recursive: true });
    await writeFile(join(root, "parts/deep/one"), "1");
    await writeFile(join(root, "two"), "2");
    await symlink("nowhere", join(root, "link"));
  });
  afterEach(async () => scratch[Symbol.asyncDispose]());

  /** Does something when a name has been read from its folder, and before anybody looks at what is under it. */
  const between = (name: string, act: () => void) => (path: string) => {
    if (path === name) act();
    return false;
  };

  test("at rest has every file, with its content, and links by their target", async () => {
    expect(await listTree(root)).toEqual(["link", "parts/deep/one", "two"]);
    const before = await digestTree(root);
    expect([...before.keys()].toSorted()).toEqual(["link", "parts/deep/one", "two"]);
    expect(before.get("link")).toBe("-> nowhere");
    await writeFile(join(root, "two"), "3");
    expect((await digestTree(root)).get("two")).not.toBe(before.get("two"));
  });

  test.each(["parts", "parts/deep", "parts/deep/one", "link"])("of which %s vanishes while it is walked has the rest", async (name) => {
    const found = await digestTree(
      root,
      between(name, () => rmSync(join(root, name), { recursive: true })),
    );
    expect([...found.keys()].toSorted()).toEqual(["link", "parts/deep/one", "two"].filter((path) => path !== name && !path.startsWith(`${name}/`)));
  });

  test("that is not there is an error, also where it goes while it is walked", async () => {
    await expect(digestTree(join(scratch.path, "none"))).rejects.toThrow("ENOENT");
    await expect(listTree(join(scratch.path, "none"))).rejects.toThrow("ENOENT");
    const leaving = digestTree(
      root,
      between("parts", () => renameSync(root, `${root}-away`)),
    );
    await expect(leaving).rejects.toThrow("ENOENT");
  });

  test("of which something cannot be read for another reason is an error", async () => {
    const changed = between("two", () => {
      rmSync(join(root, "two"));
      mkdirSync(join(root, "two"));
    });
    await expect(digestTree(root, changed)).rejects.toThrow("EISDIR");
  });
});
