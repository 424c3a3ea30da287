import type { BigIntStats } from "node:fs";
import type { EntryAttributes } from "../domain/file-map.ts";

/** What one look at a file, folder or link tells, without opening it. */
export interface NodeFacts {
  readonly type: "file" | "directory" | "symlink" | "special";
  readonly size: number;
  readonly attributes: EntryAttributes;
  /** Of the inode: several names may share it. */
  readonly inode: string;
  readonly device: bigint;
  readonly names: number;
  /** When anything of it last changed, in milliseconds since 1970. */
  readonly changedMs: number;
}

export function factsOf(stats: BigIntStats): NodeFacts {
  return {
    type: stats.isFile() ? "file" : stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "symlink" : "special",
    size: Number(stats.size),
    attributes: {
      mode: Number(stats.mode) & 0o7777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      modified: stats.mtimeNs.toString(),
      seen: stats.isFile() ? `${stats.ino}:${stats.ctimeNs}` : null,
    },
    inode: `${stats.dev}:${stats.ino}`,
    device: stats.dev,
    names: Number(stats.nlink),
    changedMs: Number(stats.ctimeNs / 1_000_000n),
  };
}

/** What a special file is, for people. */
export function kindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return "a socket";
  if (stats.isFIFO()) return "a pipe";
  return stats.isBlockDevice() || stats.isCharacterDevice() ? "a device" : "no file";
}
