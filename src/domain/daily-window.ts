const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

/** Whether a moment lies in one of the windows `02:00-04:00` (UTC, to the minute, the end not included; one may reach over midnight). Without windows it always does. */
export function isInWindow(windows: readonly string[], at: Date): boolean {
  const minute = Math.floor(at.getTime() / MINUTE_MS) % DAY_MINUTES;
  return windows.length === 0 || windows.some((window) => contains(window, minute));
}

function contains(window: string, minute: number): boolean {
  const [from = 0, to = 0] = window.split("-").map(minuteOf);
  return from < to ? from <= minute && minute < to : minute >= from || minute < to;
}

function minuteOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return hours * 60 + minutes;
}
