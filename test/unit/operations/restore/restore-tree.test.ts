import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import { RunBuilder } from "../../../../src/domain/file-map.ts";
import type { EntryAttributes, MapEntry } from "../../../../src/domain/file-map.ts";
import { CopiesTogether } from "../../../../src/repository/backup-copies.ts";
import { ensureBound } from "../../../../src/repository/binding.ts";
import { acquireLease } from "../../../../src/repository/lease.ts";
import type { WritableRepository } from "../../../../src/repository/repository.ts";
import { commitBackup } from "../../../../src/operations/backup/commit-backup.ts";
import { openCopies } from "../../../../src/operations/backup/copies.ts";
import { storeDocument } from "../../../../src/operations/backup/late-files.ts";
import { openPacking } from "../../../../src/operations/backup/packing.ts";
import type { OperationContext } from "../../../../src/operations/context.ts";
import { CopyView } from "../../../../src/operations/copy-view.ts";
import { planTreeRestore, restoreTree } from "../../../../src/operations/restore/restore-tree.ts";
import { ABOUT_TREE } from "../../../../src/operations/tree-names.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";

/** A map of a tree as somebody would write it who has taken over a host: signed and sealed as it should be. */
let fixture: RepositoryFixture;
let outside: string;
let target: string;

const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
const attributes: EntryAttributes = { mode: 0o755, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, modified: "1700000000000000000", seen: null };
const BLOCK = 4096;

beforeEach(async () => {
  fixture = await openRepositoryFixture();
  outside = join(fixture.folder, "..", "outside");
  target = join(fixture.folder, "..", "target");
  await mkdir(outside);
  await writeFile(join(outside, "file"), "not yours to change");
});

afterEach(async () => fixture[Symbol.asyncDispose]());

const folder = (path: string): MapEntry => ({ type: "directory", path, attributes });
const symlink = (path: string, to: string): MapEntry => ({ type: "symlink", path, target: to, attributes });
const further = (path: string, to: string): MapEntry => ({ type: "link", path, to });
const file = (path: string): MapEntry => ({ type: "file", path, length: 5, runs: [], attributes });

async function forge(repository: WritableRepository, entries: readonly MapEntry[]): Promise<void> {
  const source = "uploads";
  const id = "20260101T000000Z-full";
  await ensureBound(repository, source, { kind: "files" }, systemClock.now());
  await using lease = await acquireLease(repository, { scope: `${source}.backup`, runId: "forged", clock: systemClock, signal: context.signal });
  const copies = await openCopies([{ repository, lease, listing: { backups: [], damaged: [], dying: [], ids: [] } }], source, id, context);
  const parent = { stored: null, reason: "forged" } as const;
  const packing = await openPacking({ together: new CopiesTogether(copies, systemClock), backup: id, parent, blockSize: BLOCK, level: 1, newSeed: 1n });
  for (const entry of entries) {
    const block = Buffer.alloc(BLOCK, "evil!");
    const runs = new RunBuilder();
    runs.add({ blocks: 1, at: packing.writer.append(block, packing.digest(block)) });
    await packing.map.add(entry.type === "file" ? { ...entry, runs: runs.finish() } : entry, false);
  }
  const about = { root: "/srv", host: "there", attributes, exclude: [], oneFileSystem: false, counts: { skipped: 0, changed: 0, grew: 0, vanished: 0, unread: 0 }, findings: [] };
  const root = await packing.finish([await storeDocument(ABOUT_TREE, JSON.stringify(about), packing.writer, { shape: { blockSize: BLOCK }, digest: packing.digest })]);
  const at = "2026-01-01T00:00:00.000Z";
  for (const copy of copies) {
    await copy.drained();
    const made = {
      source,
      id,
      type: "full",
      parent,
      changeSource: "everything",
      changeSourceReason: "forged",
      state: "complete",
      corruptPages: 0,
      sizes: { sourceBytes: 5 * entries.length, readBytes: 0, files: 0, extents: 0, changedBlocks: 0 },
      root,
      ancestors: packing.map.ancestors,
      startedAt: new Date(at),
      elapsedSeconds: () => 1,
      reader: "local",
    } as const;
    const outcome = await commitBackup(
      copy,
      { lease, listing: { backups: [], damaged: [], dying: [], ids: [] } },
      made,
      { kind: "files", start: { at }, stop: { at }, tree: { blockSize: BLOCK, entries: entries.length, skipped: 0, changed: 0, unread: 0 } },
      context,
    );
    expect(outcome.error).toBeNull();
  }
}

async function restored(entries: readonly MapEntry[]): Promise<void> {
  const repository = await fixture.open();
  await forge(repository, entries);
  const view = await CopyView.open(repository, "uploads");
  if (view === null) throw new Error("nothing is there");
  await restoreTree({ plan: planTreeRestore(view, { target: { kind: "latest" }, backup: null }), target }, context);
}

test("a map that is as it should be is restored", async () => {
  await restored([folder("a"), file("a/file"), further("b", "a/file"), symlink("c", "/nowhere")]);
  expect(await readFile(join(target, "b"), "utf8")).toBe("evil!");
});

const HOSTILE: Readonly<Record<string, () => MapEntry[]>> = {
  "a file behind a symbolic link": () => [symlink("a", outside), file("a/file")],
  "a folder behind a symbolic link": () => [symlink("a", outside), folder("a/new")],
  "a file behind a symbolic link that has the name of a folder before": () => [folder("a"), symlink("a-", outside), file("a-/file")],
  "a file in no folder": () => [file("nowhere/file")],
  "a further name of a file behind a link": () => [symlink("a", outside), further("b", "a/file")],
  "a further name of what comes later": () => [further("a", "b"), file("b")],
  "a further name of a folder": () => [folder("a"), further("b", "a")],
  "a name that is written as nobody writes it": () => [folder("%2E%2E"), file("%2E%2E/file")],
  "a name with a slash in it": () => [file("..%2Foutside%2Fnew")],
};

test.each(Object.keys(HOSTILE))("with %s nothing is written outside of the target", async (what) => {
  await expect(restored(HOSTILE[what]?.() ?? [])).rejects.toThrow();
  expect(await readdir(outside)).toEqual(["file"]);
  expect(await readFile(join(outside, "file"), "utf8")).toBe("not yours to change");
});
