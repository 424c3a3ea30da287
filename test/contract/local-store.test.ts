import { execFile } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { openLocalStore, prepareLocalStore } from "../../src/storage/local-store.ts";
import { putIfAbsent } from "../../src/storage/object-store.ts";
import { probeStore } from "../../src/storage/store-probe.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { withFaults } from "../support/store-faults.ts";
import { describeObjectStore } from "./object-store.ts";
import { leavesOf, openLocalUnderTest } from "./local-under-test.ts";

describeObjectStore("objects in a folder", openLocalUnderTest);
describeObjectStore("objects in a folder, behind a wrapper that could fail and does not", async () => openLocalUnderTest((store) => withFaults(store).store));

test("a folder is prepared once and again, and nothing is left of the probe", async () => {
  await using scratch = await openScratchFolder();
  const root = join(scratch.path, "deep/repository");
  await prepareLocalStore(root);
  await prepareLocalStore(root);
  expect(await readdir(root)).toEqual([]);
});

test("the probe finds nothing wrong with a folder, and leaves nothing in it", async () => {
  await using under = await openLocalUnderTest();
  expect((await probeStore(under.store)).filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  expect(await under.leftovers()).toEqual([]);
});

test("what cannot be a key is not listed, whatever it is", async () => {
  await using under = await openLocalUnderTest();
  const root = under.store.url.slice("file://".length);
  await putIfAbsent(under.store, "manifests/one.json", Buffer.from("1"));
  for (const name of [".hidden", "one.json~", "#one.json#", "two words", "ümlaut", "x".repeat(201)]) await writeFile(join(root, "manifests", name), "not ours");
  await mkdir(join(root, "manifests/.snapshot"));
  await mkdir(join(root, "manifests/not ours"));
  await writeFile(join(root, "manifests/not ours/a"), "not ours");
  expect(await under.store.listNames("manifests/")).toEqual(["one.json"]);
  const listed: string[] = [];
  for await (const { key } of under.store.list("")) listed.push(key);
  expect(listed).toEqual(["manifests/one.json"]);
});

test("a link in the folder is no object of the listing", async () => {
  await using under = await openLocalUnderTest();
  const root = under.store.url.slice("file://".length);
  await symlink("/etc/passwd", join(root, "passwd"));
  expect(await under.store.listNames("")).toEqual([]);
});

test("a folder that cannot be written says so with its name and a hint", async () => {
  await using scratch = await openScratchFolder();
  await writeFile(join(scratch.path, "file"), "in the way");
  const store = openLocalStore(join(scratch.path, "file"));
  await expect(putIfAbsent(store, "a", Buffer.from("1"))).rejects.toMatchObject({ code: "HF-STORAGE" });
  await expect(prepareLocalStore(join(scratch.path, "file"))).rejects.toMatchObject({ code: "HF-STORAGE" });
});

test("free space is known before the folder is there", async () => {
  await using scratch = await openScratchFolder();
  expect(await openLocalStore(join(scratch.path, "not/yet")).freeBytes()).toBeGreaterThan(0);
});

describe("on a full disk", async () => {
  const reason = await whyNoSmallDisk();
  test.skipIf(reason !== null)(reason === null ? "a write fails with HF-SPACE, leaves nothing, and what is there can be read and removed" : `${NOT_RUN}${reason}`, async () => {
    await using scratch = await openScratchFolder();
    await using disk = await mountSmallDisk(join(scratch.path, "disk"));
    const store = openLocalStore(join(disk.path, "repository"));
    await putIfAbsent(store, "a/kept", Buffer.alloc(100_000, 1));
    await expect(putIfAbsent(store, "a/large", Buffer.alloc(2 << 20, 2))).rejects.toMatchObject({ code: "HF-SPACE" });
    expect(await leavesOf(disk.path)).toEqual(["repository/a/kept"]);
    expect((await store.read("a/kept")).length).toBe(100_000);
    expect(await putIfAbsent(store, "a/fits", Buffer.alloc(500_000, 3))).toBe("created");
    await store.remove(["a/kept", "a/fits"]);
    expect(await leavesOf(disk.path)).toEqual(["repository/"]);
  });
});

describe("on a disk that is unmounted", async () => {
  const reason = await whyNoSmallDisk();
  test.skipIf(reason !== null)(reason === null ? "nothing is written into the bare mount point, and nothing there counts as missing" : `${NOT_RUN}${reason}`, async () => {
    await using scratch = await openScratchFolder();
    const place = join(scratch.path, "disk");
    const under = await mountSmallDisk(place);
    const store = openLocalStore(place);
    await putIfAbsent(store, "a/kept", Buffer.alloc(1000, 1));
    expect(await store.listNames("a/")).toEqual(["kept"]);
    await under[Symbol.asyncDispose]();
    const gone = { code: "HF-STORAGE", message: `${place} is not the folder it was: its filesystem was unmounted, or it was replaced` };
    await expect(putIfAbsent(store, "a/lost", Buffer.alloc(10))).rejects.toMatchObject(gone);
    await expect(store.read("a/kept")).rejects.toMatchObject(gone);
    await expect(store.size("a/kept")).rejects.toMatchObject(gone);
    await expect(store.listNames("")).rejects.toMatchObject(gone);
    await expect(store.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(gone);
    expect(await readdir(place)).toEqual([]);
  });
});

const run = promisify(execFile);

async function whyNoSmallDisk(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "only root can mount a small disk to fill";
  await using scratch = await openScratchFolder();
  try {
    await using disk = await mountSmallDisk(join(scratch.path, "probe"));
    return disk.path === "" ? "no disk" : null;
  } catch (error) {
    return `a small disk cannot be mounted here (${String(error).split("\n")[0]})`;
  }
}

async function mountSmallDisk(path: string): Promise<AsyncDisposable & { readonly path: string }> {
  await mkdir(path);
  await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
  return { path, [Symbol.asyncDispose]: async () => void (await run("umount", [path])) };
}
