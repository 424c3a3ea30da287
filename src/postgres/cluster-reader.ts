import type { FolderListing } from "./folder-listing.ts";

/** Reading a cluster's files while it runs: "give me these byte ranges of these files", by SQL from afar or from the disk at hand. */
export interface ClusterReader extends AsyncDisposable {
  readonly kind: "remote" | "local";
  /** Entries of a folder of the data directory ("" is its top), in no order. A folder that is gone has none. */
  list(folder: string): Promise<FolderListing>;
  /** The ranges in order. Bytes are fewer than asked where the file ends before, null where there is no such file. */
  read(ranges: readonly ByteRange[], signal: AbortSignal): Promise<(Buffer | null)[]>;
  /** Gives back the memory of what was read, when nobody looks at it any more. */
  reuse(bytes: Buffer): void;
  /** Rejects unless every connection still reaches the server it was opened to. */
  assertSameServer(): Promise<void>;
}

export interface ByteRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}
