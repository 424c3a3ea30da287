import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeTree } from "../../../src/files/remove-tree.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

test("all of a tree goes, however wide and deep, and nothing that a link leads to", async () => {
  await using scratch = await openScratchFolder();
  const [tree, other] = [join(scratch.path, "tree"), join(scratch.path, "other")];
  await mkdir(other);
  await writeFile(join(other, "kept"), "kept");
  for (let folder = 0; folder < 20; folder++) {
    const deep = join(tree, `f${folder}`, ...Array.from({ length: folder }, (_, i) => `d${i}`));
    await mkdir(deep, { recursive: true });
    await Promise.all(Array.from({ length: 150 }, (_, i) => writeFile(join(deep, `n${i}`), "")));
  }
  await symlink(other, join(tree, "link"));
  await removeTree(tree);
  expect(await readdir(scratch.path)).toEqual(["other"]);
  expect(await readFile(join(other, "kept"), "utf8")).toBe("kept");
});

test("names that are no UTF-8 are no hindrance, of files and of folders", async () => {
  await using scratch = await openScratchFolder();
  const tree = join(scratch.path, "tree");
  await mkdir(tree);
  const strange = Buffer.concat([Buffer.from(`${tree}/bad`), Buffer.from([0xff, 0xfe])]);
  await mkdir(strange);
  await writeFile(Buffer.concat([strange, Buffer.from("/also"), Buffer.from([0xfd])]), "");
  await writeFile(Buffer.concat([Buffer.from(`${tree}/a`), Buffer.from([0xff])]), "");
  await writeFile(join(tree, "plain"), "");
  await removeTree(tree);
  expect(await readdir(scratch.path)).toEqual([]);
});

test("a single file goes, and what is not there is no error", async () => {
  await using scratch = await openScratchFolder();
  await writeFile(join(scratch.path, "one"), "");
  await removeTree(join(scratch.path, "one"));
  await removeTree(join(scratch.path, "one"));
  expect(await readdir(scratch.path)).toEqual([]);
});

test("it ends when it is told to", async () => {
  await using scratch = await openScratchFolder();
  await writeFile(join(scratch.path, "one"), "");
  await expect(removeTree(scratch.path, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  expect(await readdir(scratch.path)).toEqual(["one"]);
});
