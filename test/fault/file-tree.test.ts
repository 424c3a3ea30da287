import { appendFile, mkdir, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTreeSite, pictureOf, plantTree } from "../support/tree-site.ts";
import type { TreeSite } from "../support/tree-site.ts";

/** What changed so shortly before a backup is read again by the next one. */
const SETTLED_MS = 2500;

describe("a tree of files", () => {
  let place: TreeSite;
  let count = 0;

  beforeAll(async () => {
    place = await openTreeSite('[{ command: ["/bin/sh", "-c", "test -s $HOLDFAST_DRILL_FOLDER/a/one.txt"] }]');
    await plantTree(place.tree);
    await setTimeout(SETTLED_MS);
  });

  afterAll(async () => place[Symbol.asyncDispose]());

  const restored = async (...more: string[]): Promise<{ folder: string; picture: string }> => {
    const folder = join(place.site.folder, `restored-${count++}`);
    const outcome = await place.site.run("restore", "uploads", "--to", "latest", "--target", folder, "--json", ...more);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return { folder, picture: await pictureOf(folder) };
  };

  test("comes back as it was from a full, an incremental and a differential, each of which reads only what changed", async () => {
    const full = await place.backUp("full");
    expect(full).toMatchObject({ type: "full", state: "complete", tree: { skipped: 1, changed: 0, unread: 0 }, startLsn: null });
    expect((await restored()).picture).toBe(await pictureOf(place.tree));

    const same = await place.backUp("incr");
    expect(same).toMatchObject({ parentId: full.id, changeSource: "file-times", readBytes: 0 });
    await appendFile(join(place.tree, "a/one.txt"), ", world");
    await rm(join(place.tree, "a-b/x"));
    await mkdir(join(place.tree, "new"));
    await symlink("../big", join(place.tree, "new/link"));
    const changed = await place.backUp("incr");
    expect(changed).toMatchObject({ parentId: same.id, readBytes: "hello, world".length });
    const { folder, picture } = await restored();
    expect(picture).toBe(await pictureOf(place.tree));
    expect(await stat(join(folder, "z-hard"))).toMatchObject({ nlink: 2, size: 12 });
    expect(await place.backUp("diff")).toMatchObject({ parentId: full.id, readBytes: 12 });
    expect((await restored("--from", "offsite")).picture).toBe(picture);
    expect((await restored("--backup", full.id)).picture).not.toBe(picture);
  });

  test("is not restored over anything", async () => {
    const target = join(place.site.folder, "full");
    await mkdir(target);
    await writeFile(join(target, "mine"), "mine");
    const outcome = await place.site.run("restore", "uploads", "--to", "latest", "--target", target);
    expect(outcome.exitCode).toBe(4);
    expect(await readdir(target)).toEqual(["mine"]);
  });

  test("passes its drill, and a program of the policy sees what was restored", async () => {
    const outcome = await place.site.run("drill", "uploads", "--json");
    expect(outcome.exitCode, outcome.stdout).toBe(0);
    expect(outcome.json()).toMatchObject({
      verdict: "pass",
      fault: null,
      expectedLsn: null,
      checks: expect.arrayContaining([expect.objectContaining({ name: "content", outcome: "pass" })]) as unknown,
    });
    expect(await readdir(join(place.site.folder, "scratch"))).toEqual([]);
  });
});
