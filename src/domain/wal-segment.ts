import { addBytes, lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

/** A WAL segment: a timeline and a number. Its file name has 24 hex digits; how a number becomes a name depends on the segment size of the cluster. */
export interface WalSegment {
  readonly timeline: number;
  readonly number: bigint;
}

export function segmentAt(timeline: number, position: Lsn, segmentBytes: number): WalSegment {
  return { timeline, number: position / BigInt(segmentBytes) };
}

/** The segment that holds the byte before `position`: the last one needed to have everything up to it. */
export function segmentBefore(timeline: number, position: Lsn, segmentBytes: number): WalSegment {
  return segmentAt(timeline, lsn(position === 0n ? 0n : position - 1n), segmentBytes);
}

export function segmentStart(segment: WalSegment, segmentBytes: number): Lsn {
  return lsn(segment.number * BigInt(segmentBytes));
}

export function segmentEnd(segment: WalSegment, segmentBytes: number): Lsn {
  return addBytes(segmentStart(segment, segmentBytes), segmentBytes);
}

export function segmentName({ timeline, number }: WalSegment, segmentBytes: number): string {
  const perLog = BigInt(2 ** 32 / segmentBytes);
  return timelineHex(timeline) + hex8(number / perLog) + hex8(number % perLog);
}

const NAME = /^[0-9A-F]{24}$/;

/** The segment of a file name, or null if it is not the name of a complete segment of this size. */
export function parseSegmentName(name: string, segmentBytes: number): WalSegment | null {
  if (!NAME.test(name)) return null;
  const perLog = BigInt(2 ** 32 / segmentBytes);
  const [log, low] = [BigInt(`0x${name.slice(8, 16)}`), BigInt(`0x${name.slice(16)}`)];
  return low >= perLog ? null : { timeline: Number.parseInt(name.slice(0, 8), 16), number: log * perLog + low };
}

export function timelineHex(timeline: number): string {
  return timeline.toString(16).toUpperCase().padStart(8, "0");
}

export function historyFileName(timeline: number): string {
  return `${timelineHex(timeline)}.history`;
}

/** What PostgreSQL may ask its `restore_command` for, or hand to its `archive_command`. */
export type WalFileKind = "segment" | "history" | "partial" | "backup" | "other";

export function walFileKind(name: string): WalFileKind {
  if (NAME.test(name)) return "segment";
  if (/^[0-9A-F]{8}\.history$/.test(name)) return "history";
  if (/^[0-9A-F]{24}\.partial$/.test(name)) return "partial";
  if (/^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/.test(name)) return "backup";
  return "other";
}

function hex8(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}
