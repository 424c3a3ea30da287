import { writeSync } from "node:fs";

/** Plain bytes of a frame, and where in a file they go. */
export interface FramePiece {
  /** Of a file that stays open until it is written: the number of one that was closed may be that of another. */
  readonly fd: number;
  readonly at: number;
  /** In the frame. */
  readonly from: number;
  readonly length: number;
}

/**
 * Writes them where they are, on whatever thread that is. Waiting for each instead, as the event loop would, takes longer than writing it: into the memory of the operating system, by pages of 8 KiB
 * where many were changed.
 */
export function writePieces(plain: Uint8Array, pieces: readonly FramePiece[]): void {
  for (const { fd, at, from, length } of pieces) for (let done = 0; done < length;) done += writeSync(fd, plain, from + done, length - done, at + done);
}
