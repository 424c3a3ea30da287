import { writeSync } from "node:fs";
import { openParts } from "./frame-codec.ts";
import type { FrameFacts, FramePart, FrameSecret } from "./frame-codec.ts";

/** Plain bytes of a frame, and where in a file they go. */
export interface FramePiece {
  /** Of a file that stays open until it is written: the number of one that was closed may be that of another. */
  readonly fd: number;
  readonly at: number;
  /** In the frame. */
  readonly from: number;
  readonly length: number;
}

/** Opens what of a stored frame the pieces are in. Throws `FrameFault`. */
export function openTouched(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret, pieces: readonly FramePiece[]): FramePart[] {
  return openParts(stored, facts, secret, (slice) => pieces.some(({ from, length }) => from < slice.from + slice.plainLength && slice.from < from + length));
}

/**
 * Writes what of the pieces lies in these parts of the frame, on whatever thread that is. Waiting for each instead, as the event loop would, takes longer than writing it: into the memory of the
 * operating system, by pages of 8 KiB where many were changed.
 */
export function writePieces(parts: readonly FramePart[], pieces: readonly FramePiece[]): void {
  for (const { from, bytes } of parts)
    for (const piece of pieces) {
      const [first, end] = [Math.max(from, piece.from), Math.min(from + bytes.length, piece.from + piece.length)];
      if (first < end) writeWhole(piece.fd, bytes.subarray(first - from, end - from), piece.at + first - piece.from);
    }
}

function writeWhole(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}
