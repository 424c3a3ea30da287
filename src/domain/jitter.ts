import { isoTime } from "./iso-time.ts";

/**
 * How much later than its slot something begins, so that a hundred sources with one policy do not all begin in one second. It follows from the names alone:
 * who starts again, on whichever host, waits just as long, and a slot is never served twice or passed over for it.
 */

/** Whole seconds from 0 to below `maxSeconds`, always the same for one source and slot. */
export function jitterSeconds(source: string, slot: Date, maxSeconds: number): number {
  if (maxSeconds <= 0) return 0;
  return Math.floor((hash(`${source} ${isoTime(slot.getTime())}`) / 2 ** 32) * maxSeconds);
}

/** FNV-1a over UTF-16 units, and a last stir, without which neighbouring slots would lie near each other. 32 bits: an hour of jitter has 3,600 places to go. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
