import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { comparePaths } from "../../../src/domain/file-map.ts";
import { Findings } from "../../../src/files/findings.ts";
import { OpenFolder } from "../../../src/files/open-folder.ts";
import { openNode, readAt } from "../../../src/files/read-node.ts";
import { reportMissing, walkTree } from "../../../src/files/tree-walk.ts";
import type { FoundNode, TreeOptions } from "../../../src/files/tree-walk.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const ALL: TreeOptions = { exclude: [], oneFileSystem: false, notAtRoot: [] };
const NEVER = new AbortController().signal;

async function walked(folder: string, options = ALL, onNode: (node: FoundNode) => Promise<void> = async () => undefined): Promise<{ paths: string[]; findings: Findings }> {
  const root = await OpenFolder.root(folder);
  const findings = new Findings();
  const paths: string[] = [];
  try {
    for await (const node of walkTree(root, options, findings, NEVER)) {
      paths.push(node.path);
      await onNode(node);
      await node.folder.release();
    }
  } finally {
    await root.closeAll();
  }
  return { paths, findings };
}

test("a tree is met in the order of the map, folders before what is in them", async () => {
  await using scratch = await openScratchFolder();
  for (const folder of ["a/b", "a-b", "a.b"]) await mkdir(join(scratch.path, folder), { recursive: true });
  for (const file of ["a/x", "a/b/y", "a-b/z", "a.b/z", "a0"]) await writeFile(join(scratch.path, file), file);
  const { paths } = await walked(scratch.path);
  expect(paths).toEqual(["a", "a-b", "a-b/z", "a.b", "a.b/z", "a/b", "a/b/y", "a/x", "a0"]);
  expect(paths).toEqual(paths.toSorted(comparePaths));
});

test("what is excluded is not met, and neither is what is in it", async () => {
  await using scratch = await openScratchFolder();
  await mkdir(join(scratch.path, "cache/deep"), { recursive: true });
  for (const file of ["cache/deep/x", "keep.log", "drop.log", "a.tmp"]) await writeFile(join(scratch.path, file), file);
  expect((await walked(scratch.path, { ...ALL, exclude: ["cache/", "*.log", "!keep.log", "*.tmp"] })).paths).toEqual(["keep.log"]);
});

test("a folder that is swapped for a link while it is read leads nowhere", async () => {
  await using scratch = await openScratchFolder();
  const [tree, secret] = [join(scratch.path, "tree"), join(scratch.path, "secret")];
  await mkdir(join(tree, "data"), { recursive: true });
  await mkdir(secret);
  await writeFile(join(tree, "data/file"), "mine");
  await writeFile(join(secret, "file"), "not yours");
  let content = "";
  const { paths, findings } = await walked(tree, ALL, async (node) => {
    if (node.path === "data") {
      // Seen as a folder, and not yet entered.
      await rename(join(tree, "data"), join(tree, "away"));
      await symlink(secret, join(tree, "data"));
    }
    if (node.path === "data/file") {
      const opened = await openNode(node);
      const into = Buffer.alloc(20);
      content = into.toString("utf8", 0, opened === null ? 0 : await readAt(opened.handle, into, 0));
      await opened?.handle.close();
    }
  });
  expect(content).toBe("");
  expect(paths).toEqual(["data"]);
  expect(findings.named).toMatchObject([{ kind: "unread", path: "data" }]);
});

test("what is gone is named, and what cannot be read is another matter; an error of ours is neither", () => {
  const findings = new Findings();
  reportMissing(findings, "gone", Object.assign(new Error("ENOENT: no such file or directory, open '/proc/self/fd/7/gone'"), { code: "ENOENT" }));
  reportMissing(findings, "closed", Object.assign(new Error("EACCES: permission denied, open '/proc/self/fd/7/closed'"), { code: "EACCES" }));
  expect(findings.named).toEqual([
    { kind: "vanished", path: "gone", detail: "was gone when it was to be read" },
    { kind: "unread", path: "closed", detail: "EACCES: permission denied" },
  ]);
  expect(() => reportMissing(findings, "x", new RangeError("a bug"))).toThrow("a bug");
});

test("more findings than can be named are counted", () => {
  const findings = new Findings();
  for (let i = 0; i < 1500; i++) findings.add("skipped", String(i), "is a socket");
  expect([findings.named.length, findings.counts.skipped]).toEqual([1000, 1500]);
});
