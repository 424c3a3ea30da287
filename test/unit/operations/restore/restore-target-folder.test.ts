import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { INCOMPLETE_MARKER } from "../../../../src/operations/tree-names.ts";
import { claimTarget, inspectTarget, isFreeForTablespace } from "../../../../src/operations/restore/restore-target-folder.ts";
import { openScratchFolder } from "../../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../../support/scratch-folder.ts";

describe("the folder a restore goes to", () => {
  let scratch: ScratchFolder;
  let target: string;
  let space: string;
  beforeEach(async () => {
    scratch = await openScratchFolder();
    [target, space] = [join(scratch.path, "target"), join(scratch.path, "space")];
  });
  afterEach(async () => scratch[Symbol.asyncDispose]());

  async function fill(folder: string, name = "precious"): Promise<void> {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), "precious");
  }

  test("may be absent, empty, or left by a restore that died; anything else is refused", async () => {
    expect(await inspectTarget(target)).toBe("absent");
    await mkdir(target);
    expect(await inspectTarget(target)).toBe("empty");
    await claimTarget(target, [], { keep: false });
    await fill(join(target, "base"));
    expect(await inspectTarget(target)).toBe("unfinished");
    await mkdir(join(target, "global"));
    await writeFile(join(target, "global/pg_control"), "");
    await expect(inspectTarget(target)).rejects.toMatchObject({ code: "HF-TARGET-NOT-EMPTY" });
    await fill(space);
    await expect(inspectTarget(space)).rejects.toMatchObject({ code: "HF-TARGET-NOT-EMPTY" });
    await expect(inspectTarget(join(space, "precious"))).rejects.toMatchObject({ code: "HF-TARGET-NOT-EMPTY" });
  });

  test("is cleared of what a dead restore left, in tablespaces too, and belongs to the next one", async () => {
    await claimTarget(target, [space], { keep: false });
    await fill(join(target, "base"));
    await fill(join(space, "PG_15"));
    expect(await isFreeForTablespace(space, target)).toBe(true);
    await claimTarget(target, [space], { keep: false });
    expect(await readdir(target)).toEqual([INCOMPLETE_MARKER]);
    expect(await readdir(space)).toEqual([INCOMPLETE_MARKER]);
  });

  test("never has anything cleared that a restore did not mark itself, whatever a marker in the target says", async () => {
    await fill(space);
    await mkdir(target);
    await writeFile(join(target, INCOMPLETE_MARKER), `${space}\n/\n`);
    expect(await inspectTarget(target)).toBe("unfinished");
    await claimTarget(target, [], { keep: false });
    expect(await readFile(join(space, "precious"), "utf8")).toBe("precious");
  });

  test("of a tablespace is not free while it holds anything, or another restore is at work there", async () => {
    expect(await isFreeForTablespace(space, target)).toBe(true);
    await fill(space);
    expect(await isFreeForTablespace(space, target)).toBe(false);
    const other = join(scratch.path, "other-space");
    await claimTarget(join(scratch.path, "other-target"), [other], { keep: false });
    expect(await isFreeForTablespace(other, target)).toBe(false);
  });
});
