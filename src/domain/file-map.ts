/**
 * The map of a backup set: for every file, where each of its blocks is. Pure data and arithmetic; `repository/` reads and writes it.
 */
export interface BlockLocation {
  readonly backup: string;
  readonly pack: number;
  readonly frame: number;
  readonly block: number;
}

/** Consecutive blocks of a file that lie one after the other in one extent, or (`at` null) are all zero and stored nowhere. */
export interface BlockRun {
  readonly blocks: number;
  readonly at: BlockLocation | null;
}

export interface FileEntry {
  readonly type: "file";
  readonly path: string;
  /** Exact length in bytes. */
  readonly length: number;
  readonly runs: readonly BlockRun[];
  /** In a file tree only. */
  readonly attributes?: EntryAttributes;
}

/** What a file tree keeps of a file or folder besides its content. */
export interface EntryAttributes {
  /** The permission bits: 12 of them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** When its content last changed, in nanoseconds since 1970, as text: more than a number holds. */
  readonly modified: string;
  /** What the next incremental recognises it by if nothing touched it (inode and time of change); null: it is always read again. */
  readonly seen: string | null;
}

export interface DirectoryEntry {
  readonly type: "directory";
  readonly path: string;
  readonly attributes?: EntryAttributes;
}

/** A symbolic link in a file tree. */
interface SymlinkEntry {
  readonly type: "symlink";
  readonly path: string;
  /** Where it points: the names in it are written as in paths. */
  readonly target: string;
  readonly attributes: EntryAttributes;
}

/** A further name of a file that comes before it in the map. */
interface LinkEntry {
  readonly type: "link";
  readonly path: string;
  readonly to: string;
}

export interface TablespaceEntry {
  readonly type: "tablespace";
  readonly path: string;
  /** Absolute folder on the source. */
  readonly target: string;
}

/** Tablespaces are in clusters only, links of both kinds in file trees only. */
export type MapEntry = FileEntry | DirectoryEntry | TablespaceEntry | SymlinkEntry | LinkEntry;

export function blocksOf(lengthBytes: number, blockSize: number): number {
  return Math.ceil(lengthBytes / blockSize);
}

/** Collects the runs of one file, joining what continues. */
export class RunBuilder {
  readonly #runs: { blocks: number; at: BlockLocation | null }[] = [];
  #blocks = 0;

  get blocks(): number {
    return this.#blocks;
  }

  addZeros(blocks: number): void {
    this.add({ blocks, at: null });
  }

  add(run: BlockRun): void {
    if (run.blocks === 0) return;
    this.#blocks += run.blocks;
    const last = this.#runs.at(-1);
    if (last !== undefined && isContinuedBy(last, run)) last.blocks += run.blocks;
    else this.#runs.push({ blocks: run.blocks, at: run.at });
  }

  finish(): BlockRun[] {
    return this.#runs;
  }
}

/** Whether the next run goes on in the extent where the last one ends, or both are zeros. */
export function isContinuedBy(last: BlockRun, next: BlockRun): boolean {
  if (last.at === null || next.at === null) return last.at === next.at;
  return last.at.backup === next.at.backup && last.at.pack === next.at.pack && last.at.frame === next.at.frame && last.at.block + last.blocks === next.at.block;
}

/** A run, and the block of the file it begins at. */
export interface PlacedRun extends BlockRun {
  readonly fileBlock: number;
}

export function placeRuns(runs: readonly BlockRun[]): PlacedRun[] {
  let fileBlock = 0;
  return runs.map((run) => {
    const placed = { ...run, fileBlock };
    fileBlock += run.blocks;
    return placed;
  });
}

/** Runs in their order, as many together as make so many blocks; the last ones may be fewer. A run may be cut in two. */
export function* cutRuns(runs: Iterable<PlacedRun>, most: number): Generator<PlacedRun[]> {
  let [stretch, blocks]: [PlacedRun[], number] = [[], 0];
  for (const run of runs)
    for (let done = 0; done < run.blocks;) {
      const taken = Math.min(most - blocks, run.blocks - done);
      stretch.push({ fileBlock: run.fileBlock + done, blocks: taken, at: run.at === null ? null : { ...run.at, block: run.at.block + done } });
      [done, blocks] = [done + taken, blocks + taken];
      if (blocks < most) continue;
      yield stretch;
      [stretch, blocks] = [[], 0];
    }
  if (stretch.length > 0) yield stretch;
}

/** The runs that cover blocks `[from, to)` of a file; shorter if the file is. */
export function sliceRuns(runs: readonly BlockRun[], from: number, to: number): BlockRun[] {
  const slice = new RunBuilder();
  let at = 0;
  for (const run of runs) {
    const [start, end] = [Math.max(from, at), Math.min(to, at + run.blocks)];
    if (start < end) slice.add({ blocks: end - start, at: run.at === null ? null : { ...run.at, block: run.at.block + (start - at) } });
    at += run.blocks;
    if (at >= to) break;
  }
  return slice.finish();
}

export function sameEntry(a: MapEntry, b: MapEntry): boolean {
  if (a.type !== b.type || a.path !== b.path) return false;
  if (a.type === "tablespace" && b.type === "tablespace") return a.target === b.target;
  if (a.type === "symlink" && b.type === "symlink") return a.target === b.target && sameAttributes(a.attributes, b.attributes);
  if (a.type === "link" && b.type === "link") return a.to === b.to;
  if (a.type === "directory" && b.type === "directory") return sameAttributes(a.attributes, b.attributes);
  if (a.type !== "file" || b.type !== "file" || !sameAttributes(a.attributes, b.attributes)) return false;
  return a.length === b.length && a.runs.length === b.runs.length && a.runs.every((run, i) => sameRun(run, b.runs[i]));
}

function sameAttributes(a: EntryAttributes | undefined, b: EntryAttributes | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.modified === b.modified && a.seen === b.seen;
}

function sameRun(a: BlockRun, b: BlockRun | undefined): boolean {
  if (b === undefined || a.blocks !== b.blocks) return false;
  if (a.at === null || b.at === null) return a.at === b.at;
  return a.at.backup === b.at.backup && a.at.pack === b.at.pack && a.at.frame === b.at.frame && a.at.block === b.at.block;
}

/** Bytewise order of UTF-8, which the map is sorted by. Code units give the same order but for surrogates. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters beyond all others, though their units are smaller than some. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** A path from a map may be joined to a target folder only if it cannot leave it. Paths of our own documents begin with `//`. */
export function isSafePath(path: string): boolean {
  const bare = path.startsWith("//") ? path.slice(2) : path;
  return bare.length > 0 && bare.length < 4096 && !/[\0\\]/.test(bare) && bare.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
