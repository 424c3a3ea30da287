/** Lengths of time as people write them (`30s`, `15m`, `4h`, `7d`, `12w`). Seconds everywhere inside. */
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

type Unit = keyof typeof UNIT_SECONDS;

/** A hundred years: more is a slip of the finger, and dates this far away still fit a Date. */
export const MAX_DURATION_SECONDS = 36_525 * UNIT_SECONDS.d;

const WRITTEN = /^([1-9]\d{0,9})([smhdw])$/;

/** The seconds of a written duration, or null if it is not one. Nothing is no duration: `0s` is refused, and so is more than a hundred years. */
export function parseDuration(text: string): number | null {
  const match = WRITTEN.exec(text);
  if (match === null) return null;
  const seconds = Number(match[1]) * UNIT_SECONDS[match[2] as Unit];
  return seconds > MAX_DURATION_SECONDS ? null : seconds;
}

/**
 * The shortest exact way to write whole seconds: in the largest unit that divides them, but one week as `7d`, as people do.
 * Reading it again gives the same seconds. Parts of a second are dropped.
 */
export function formatDuration(seconds: number): string {
  const whole = Math.trunc(seconds);
  if (whole === 0) return "0s";
  const unit = (["w", "d", "h", "m"] as const).find((candidate) => whole % UNIT_SECONDS[candidate] === 0 && !(candidate === "w" && whole === UNIT_SECONDS.w)) ?? "s";
  return `${whole / UNIT_SECONDS[unit]}${unit}`;
}

const MEASURED_UNITS = [
  { name: "d", seconds: 86_400, rest: { name: "h", seconds: 3600 } },
  { name: "h", seconds: 3600, rest: { name: "min", seconds: 60 } },
  { name: "min", seconds: 60, rest: { name: "s", seconds: 1 } },
] as const;

/** How a measured time is told to people: `2.3 s`, `42 s`, `7 min 52 s`, `4 d 23 h`. Rounded down from a minute on. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.floor(seconds)} s`;
  const unit = MEASURED_UNITS.find((candidate) => seconds >= candidate.seconds) ?? MEASURED_UNITS[2];
  const whole = Math.floor(seconds / unit.seconds);
  const rest = Math.floor((seconds - whole * unit.seconds) / unit.rest.seconds);
  return rest === 0 ? `${whole} ${unit.name}` : `${whole} ${unit.name} ${rest} ${unit.rest.name}`;
}
