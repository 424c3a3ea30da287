import { appendFile, mkdir, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectAlike, openPlantedSite } from "../support/tree-site.ts";
import type { TreeSite } from "../support/tree-site.ts";

describe("a tree of files", () => {
  let place: TreeSite;

  beforeAll(async () => {
    place = await openPlantedSite();
  });

  afterAll(async () => place[Symbol.asyncDispose]());

  test("comes back as it was from a full, an incremental and a differential, each of which reads only what changed", async () => {
    const full = await place.backUp("full");
    expect(full).toMatchObject({ type: "full", state: "complete", tree: { skipped: 1, changed: 0, unread: 0 }, startLsn: null });
    await expectAlike((await place.restored()).picture, place.tree);

    const same = await place.backUp("incr");
    expect(same).toMatchObject({ parentId: full.id, changeSource: "file-times", readBytes: 0 });
    await appendFile(join(place.tree, "a/one.txt"), ", world");
    await rm(join(place.tree, "a-b/x"));
    await mkdir(join(place.tree, "new"));
    await symlink("../big", join(place.tree, "new/link"));
    const changed = await place.backUp("incr");
    expect(changed).toMatchObject({ parentId: same.id, readBytes: "hello, world".length });
    const { folder, picture } = await place.restored();
    await expectAlike(picture, place.tree);
    expect(await stat(join(folder, "z-hard"))).toMatchObject({ nlink: 2, size: 12 });
    expect(await place.backUp("diff")).toMatchObject({ parentId: full.id, readBytes: 12 });
    expect((await place.restored("--from", "offsite")).picture).toBe(picture);
    expect((await place.restored("--backup", full.id)).picture).not.toBe(picture);
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
