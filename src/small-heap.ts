import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Both halves of it. Larger, and no less is copied when small objects come and go one after the other. */
const ENOUGH_BYTES = 8 << 20;
/** Looking takes some microseconds. */
const LOOK_EVERY = 16;

let calls = 0;
let told = false;

/**
 * Keeps the heap small where a million small objects are made and dropped one after the other. On a large machine V8 would let the space for new ones grow to 128 MB, and that for others to four times what is in
 * use before it clears away; both are full of what nobody needs. Called once for each handful. V8 can only be told to grow its new space no more, so it is told when that is large enough; both flags are ones that
 * it looks at whenever it would grow.
 */
export function keepHeapSmall(): void {
  if (told || calls++ % LOOK_EVERY !== 0) return;
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  if (space === undefined || space.space_size < ENOUGH_BYTES) return;
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=100");
  told = true;
}
