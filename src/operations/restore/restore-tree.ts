import { chmod, lchown, link, mkdir, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { pMapIterable } from "p-map";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { placeRuns } from "../../domain/file-map.ts";
import type { DirectoryEntry, FileEntry } from "../../domain/file-map.ts";
import type { Fallback } from "../../domain/fallback.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import { HoldfastError } from "../../errors.ts";
import { placeBelow, readName } from "../../files/names.ts";
import { dressFile, dressFolder, dressLink, makeFile } from "../../files/restored-node.ts";
import type { Ownership } from "../../files/restored-node.ts";
import { runProgram } from "../../postgres/process.ts";
import { blockSizeOf } from "../../repository/manifest.ts";
import type { StoredManifest, TreeManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { INCOMPLETE_MARKER } from "../tree-names.ts";
import { checkedTree } from "./check-tree.ts";
import { chooseByTime } from "./choose-by-time.ts";
import { openChain } from "./open-chain.ts";
import { fillFiles } from "./fill-files.ts";
import type { OpenFile } from "./fill-files.ts";
import { targetError, windowsOf, WINDOWS_AT_ONCE } from "./restore-files.ts";
import { claimTarget, inspectTarget, requireSpace, syncFolder } from "./restore-target-folder.ts";
import { readAboutTree } from "./tree-about.ts";
import type { AboutTree } from "./tree-about.ts";
import { UnderWay } from "../../under-way.ts";

/** Which backup of a tree a restore takes, and where from. */
export interface TreePlan {
  readonly view: CopyView;
  readonly stored: StoredManifest<TreeManifest>;
  readonly bytes: number;
}

export interface RestoredTree {
  readonly kind: "files";
  readonly backupId: string;
  readonly repository: string;
  readonly target: string;
  /** The tree as it was between these. */
  readonly from: string;
  readonly reachedTime: string;
  readonly bytes: number;
  readonly files: number;
  readonly durationSeconds: number;
  readonly ownership: Ownership;
  readonly about: AboutTree;
  readonly fallbacks: readonly Fallback[];
}

/** The newest backup that was whole by the target; or the one that was named. Of other targets than a time and the latest a tree knows nothing. */
export function planTreeRestore(view: CopyView, { target, backup }: { readonly target: RestoreTarget; readonly backup: string | null }): TreePlan {
  const stored = chooseByTime(view, target, backup);
  if (stored.manifest.kind !== "files") throw new HoldfastError("HF-USAGE", `${stored.manifest.id} is no backup of a tree`);
  return { view, stored: stored as StoredManifest<TreeManifest>, bytes: stored.manifest.sizes.sourceBytes };
}

/**
 * Brings a tree back into an empty folder. While it is filled there is no link in it, and nobody else can get into it: so nothing that a map says leads out of it. Then the further names of files,
 * then symbolic links, and last the folders' own permissions and times, the deepest first.
 */
export async function restoreTree({ plan, target }: { readonly plan: TreePlan; readonly target: string }, context: OperationContext): Promise<RestoredTree> {
  const elapsed = stopwatch(context.clock);
  const { view, stored } = plan;
  const { manifest } = stored;
  await inspectTarget(target);
  await requireSpace(target, plan.bytes);
  const chain = await openChain(plan);
  const about = await readAboutTree(chain, manifest);
  // Before anything is touched: all of the map is one that we could have written.
  for await (const entry of checkedTree(chain, manifest)) {
    void entry;
    context.signal.throwIfAborted();
  }
  const ownership = ownershipHere();
  if (ownership === "ours") context.onNotice("not as root: everything will belong to the user that restores it, and set-id bits are left out");
  await claimTarget(target, [], { keep: false });
  await closeToOthers(target, ownership);
  crashPoint("restore.begun");
  const tree: TreeTarget = { chain, manifest, root: target, ownership };
  try {
    const done = await writeFiles(tree, context);
    await makeLinks(tree, context);
    await dressFolders(tree, context);
    await syncAll(target, context.signal);
    crashPoint("restore.before-done");
    await rm(path.join(target, INCOMPLETE_MARKER));
    await dressFolder(target, about.attributes, ownership);
    await syncFolder(target);
    return {
      kind: "files",
      backupId: manifest.id,
      repository: view.repository.name,
      target,
      from: manifest.start.at,
      reachedTime: manifest.stop.at,
      ...done,
      durationSeconds: elapsed(),
      ownership,
      about,
      fallbacks: view.fallbacks,
    };
  } catch (error) {
    throw targetError(error, target);
  }
}

/** To whom restored files belong: only root can give them away. */
export function ownershipHere(): Ownership {
  return process.getuid?.() === 0 ? "as-backed-up" : "ours";
}

/** What a restore does last: its folder looks as the root of the tree did. Done again it is the same. */
export async function dressRoot(plan: TreePlan, target: string): Promise<void> {
  const { attributes } = await readAboutTree(await openChain(plan), plan.stored.manifest);
  await dressFolder(target, attributes, ownershipHere());
  await syncFolder(target);
}

/** Until it is whole nobody else gets into it, whoever made the folder. */
async function closeToOthers(target: string, ownership: Ownership): Promise<void> {
  try {
    if (ownership === "as-backed-up") await lchown(target, 0, 0);
    await chmod(target, 0o700);
  } catch (cause) {
    throw new HoldfastError("HF-STORAGE", `${target} belongs to somebody else, who could change what is restored while it is`, {
      hint: "choose a folder that does not exist yet",
      cause,
    });
  }
}

interface TreeTarget {
  readonly chain: ChainReader;
  readonly manifest: TreeManifest;
  readonly root: string;
  readonly ownership: Ownership;
}

const isAbout = (entry: { readonly path: string }): boolean => entry.path.startsWith("//");

async function writeFiles(tree: TreeTarget, context: OperationContext): Promise<{ bytes: number; files: number }> {
  const done = { bytes: 0, files: 0 };
  const { chain, manifest, root } = tree;
  const makeFolder = async (entry: { readonly type: string; readonly path: string }): Promise<void> => {
    if (entry.type === "directory") await mkdir(placeBelow(root, entry.path), { mode: 0o700 });
  };
  const windows = windowsOf(chain.entries(manifest.id), blockSizeOf(manifest), makeFolder, isAbout);
  // Whoever clears away after a failure must find nobody still writing.
  await using writing = new UnderWay();
  const write = async (window: readonly FileEntry[]): Promise<readonly FileEntry[]> => {
    await writing.note(writeWindow(tree, window, context));
    return window;
  };
  for await (const window of pMapIterable(windows, write, { concurrency: WINDOWS_AT_ONCE })) {
    done.files += window.length;
    done.bytes += window.reduce((sum, entry) => sum + entry.length, 0);
    context.onProgress({ phase: "restore", doneBytes: done.bytes, totalBytes: manifest.sizes.sourceBytes });
  }
  return done;
}

async function writeWindow({ chain, manifest, root, ownership }: TreeTarget, window: readonly FileEntry[], context: OperationContext): Promise<void> {
  const files: OpenFile[] = [];
  try {
    for (const entry of window) {
      const handle = await makeFile(placeBelow(root, entry.path));
      files.push({ entry, handle, runs: placeRuns(entry.runs).filter(({ at }) => at !== null) });
      // Zeros are stored nowhere, and are not written: they are a hole, as they may have been.
      if (entry.length > 0) await handle.truncate(entry.length);
    }
    await fillFiles(chain, files, { blockSize: blockSizeOf(manifest), areMadeDurable: false }, context);
    for (const { entry, handle } of files) if (entry.attributes !== undefined) await dressFile(handle, entry.attributes, ownership);
  } finally {
    await Promise.all(files.map(async ({ handle }) => handle.close()));
  }
}

/** All further names before any symbolic link: a name leads to a file that is there already, through folders only. */
async function makeLinks({ chain, manifest, root, ownership }: TreeTarget, { signal }: OperationContext): Promise<void> {
  for await (const entry of chain.entries(manifest.id)) {
    signal.throwIfAborted();
    if (entry.type === "link") await link(placeBelow(root, entry.to), placeBelow(root, entry.path));
  }
  for await (const entry of chain.entries(manifest.id)) {
    signal.throwIfAborted();
    if (entry.type !== "symlink") continue;
    const place = placeBelow(root, entry.path);
    await symlink(readName(entry.target), place);
    await dressLink(place, entry.attributes, ownership);
  }
}

/** From the end of the map to its beginning: what is in a folder comes before the folder, whose times it would change. */
async function dressFolders({ chain, manifest, root, ownership }: TreeTarget, { signal }: OperationContext): Promise<void> {
  const { chunks } = await chain.root(manifest.id);
  for (const ref of chunks.toReversed()) {
    signal.throwIfAborted();
    const folders = (await chain.chunk(ref)).filter((entry): entry is DirectoryEntry => entry.type === "directory");
    for (const { path: name, attributes } of folders.toReversed()) if (attributes !== undefined) await dressFolder(placeBelow(root, name), attributes, ownership);
  }
}

const SYNC_TIMEOUT_MS = 30 * 60_000;

/** One file system at a time: a million files would each have to be waited for. It cannot be kept from going on, but whoever wants us to stop does not wait for it. */
async function syncAll(folder: string, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await unlessAborted(runProgram("sync", ["-f", folder], { timeoutMs: SYNC_TIMEOUT_MS, signal }), signal);
  if (exitCode !== 0)
    throw new HoldfastError("HF-STORAGE", `what was written to ${folder} could not be made durable: ${stderr.trim()}`, {
      hint: "is there a program 'sync' that knows -f (coreutils)?",
    });
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", stop);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
