import type { BackupType } from "./backup-id.ts";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

/** Whether a moment lies in one of the windows `02:00-04:00` (UTC, to the minute, the end not included; one may reach over midnight). Without windows it always does. */
export function isInWindow(windows: readonly string[], at: Date): boolean {
  return windows.length === 0 || windows.some((window) => contains(window, minuteOfDay(at)));
}

/** The first moment not before `at` that lies in a window. */
export function nextOpening(windows: readonly string[], at: Date): Date {
  if (isInWindow(windows, at)) return at;
  const waits = windows.map((window) => (edgesOf(window).from - minuteOfDay(at) + DAY_MINUTES) % DAY_MINUTES);
  return minutesLater(at, Math.min(...waits));
}

/** The first moment after `at`, which lies in a window, that lies in none; null: they never close. */
export function nextClosing(windows: readonly string[], at: Date): Date | null {
  let end = at;
  while (isInWindow(windows, end)) {
    if (windows.length === 0 || end.getTime() - at.getTime() > DAY_MINUTES * MINUTE_MS) return null;
    const minute = minuteOfDay(end);
    const open = windows.filter((window) => contains(window, minute));
    end = minutesLater(end, Math.max(...open.map((window) => (edgesOf(window).to - minute + DAY_MINUTES) % DAY_MINUTES)));
  }
  return end;
}

/** What windows for heavy work are about. Outside of them it stays due. */
const HEAVY: readonly BackupType[] = ["full", "incremental"];

/** Whether a backup that is due may begin now. A source without any backup does not wait for its window. */
export function mayBegin(type: BackupType, { heavy, hasBackup, now }: { heavy: readonly string[]; hasBackup: boolean; now: Date }): boolean {
  return !HEAVY.includes(type) || !hasBackup || isInWindow(heavy, now);
}

/** Whether windows are about this type at all. */
export function isHeavy(type: BackupType): boolean {
  return HEAVY.includes(type);
}

function contains(window: string, minute: number): boolean {
  const { from, to } = edgesOf(window);
  return from < to ? from <= minute && minute < to : minute >= from || minute < to;
}

function edgesOf(window: string): { from: number; to: number } {
  const [from = 0, to = 0] = window.split("-").map(minuteOfClock);
  return { from, to };
}

function minuteOfClock(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return hours * 60 + minutes;
}

function minuteOfDay(at: Date): number {
  return Math.floor(at.getTime() / MINUTE_MS) % DAY_MINUTES;
}

/** At the beginning of its minute. */
function minutesLater(at: Date, minutes: number): Date {
  return new Date((Math.floor(at.getTime() / MINUTE_MS) + minutes) * MINUTE_MS);
}
