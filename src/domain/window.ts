import type { BackupType } from "./backup-id.ts";
import { fromLocalMs, localMs } from "./zone.ts";

/**
 * Stretches of time that come again and again, or once, as text: `02:00-04:00` (every day), `Sunday 04:00-06:00` (every week), `first Sunday 06:00-10:00` (every month) and
 * `2026-12-24T00:00:00Z/2026-12-27T00:00:00Z`. In UTC, or in the zone named behind them (`02:00-04:00 Europe/Berlin`), the end not included; one may reach over midnight, and
 * belongs to the day on which it begins. Where clocks are changed, its ends are what the clocks show.
 */
export type Window = string;

export const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;

/** Whether a moment lies in one of the windows. */
export function isWithin(windows: readonly Window[], at: Date): boolean {
  return windows.some((window) => around(window, at) !== null);
}

/** As `isWithin`; but without windows it always does. */
export function isInWindow(windows: readonly Window[], at: Date): boolean {
  return windows.length === 0 || isWithin(windows, at);
}

/** The first moment not before `at` that lies in a window; null: there is none any more. Without windows it is `at`. */
export function nextOpening(windows: readonly Window[], at: Date): Date | null {
  if (isInWindow(windows, at)) return at;
  const starts = windows.flatMap((window) => nextStart(window, at) ?? []);
  return starts.length === 0 ? null : new Date(Math.min(...starts));
}

/** The first moment not before `at` that lies in none of the windows; null: they never close. */
export function nextClosing(windows: readonly Window[], at: Date): Date | null {
  let end = at;
  while (isWithin(windows, end)) {
    if (end.getTime() - at.getTime() > MAX_OPEN_MS) return null;
    const ends = windows.flatMap((window) => around(window, end)?.until ?? []);
    end = new Date(Math.max(...ends));
  }
  return end;
}

export interface BackupWindows {
  /** Full and incremental backups begin in these only; none: at any time. */
  readonly heavy: readonly Window[];
  /** No backup begins in these. The log goes on. */
  readonly blackout: readonly Window[];
}

const HEAVY: readonly BackupType[] = ["full", "incremental"];

/** Whether a backup that is due may begin now; else it stays due. A source without any backup does not wait for its window, but for the end of a blackout: somebody said so. */
export function mayBegin(type: BackupType, { heavy, blackout }: BackupWindows, { hasBackup, now }: { hasBackup: boolean; now: Date }): boolean {
  if (isWithin(blackout, now)) return false;
  return !isHeavy(type) || !hasBackup || isInWindow(heavy, now);
}

/** Whether windows for heavy work are about this type at all. */
export function isHeavy(type: BackupType): boolean {
  return HEAVY.includes(type);
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const DAY_MS = DAY_MINUTES * MINUTE_MS;

/** Windows that are open for so long without a break never close; one-off ones are given this long and a leap year. */
const MAX_OPEN_MS = 40 * 366 * DAY_MS;

/** From one first Sunday to the next. */
const MAX_DAYS_BETWEEN = 35;

interface Stretch {
  readonly from: number;
  readonly until: number;
}

type Parsed = Stretch | Recurring;

interface Recurring {
  readonly zone: string;
  /** Whether it begins on a day, given as its 00:00 on the clocks of the zone. */
  readonly onDay: (localDayMs: number) => boolean;
  readonly fromMs: number;
  readonly lengthMs: number;
}

/** The stretch of a window that a moment lies in, or null. */
function around(window: Window, at: Date): Stretch | null {
  const parsed = parse(window);
  const ms = at.getTime();
  if ("from" in parsed) return isIn(parsed, ms) ? parsed : null;
  const today = startOfDay(localMs(parsed.zone, ms));
  const days = [today, today - DAY_MS].filter(parsed.onDay);
  return days.map((day) => stretchOf(parsed, day)).find((stretch) => isIn(stretch, ms)) ?? null;
}

function isIn({ from, until }: Stretch, ms: number): boolean {
  return from <= ms && ms < until;
}

function stretchOf({ zone, fromMs, lengthMs }: Recurring, day: number): Stretch {
  return { from: fromLocalMs(zone, day + fromMs), until: fromLocalMs(zone, day + fromMs + lengthMs) };
}

function nextStart(window: Window, at: Date): number | null {
  const parsed = parse(window);
  const ms = at.getTime();
  if ("from" in parsed) return parsed.from >= ms ? parsed.from : null;
  for (let i = 0, day = startOfDay(localMs(parsed.zone, ms)); i <= MAX_DAYS_BETWEEN; i++, day += DAY_MS) {
    const { from } = stretchOf(parsed, day);
    if (parsed.onDay(day) && from >= ms) return from;
  }
  return null;
}

const known = new Map<Window, Parsed>();

function parse(window: Window): Parsed {
  const parsed = known.get(window) ?? parseText(window);
  known.set(window, parsed);
  return parsed;
}

function parseText(window: Window): Parsed {
  const once = /^(\d{4}-[^/]+)\/(.+)$/.exec(window);
  if (once !== null) return { from: Date.parse(once[1] ?? ""), until: Date.parse(once[2] ?? "") };
  const written = window.split(" ");
  const isZoned = !/^\d/.test(written.at(-1) ?? "");
  const words = isZoned ? written.slice(0, -1) : written;
  const [from = 0, to = 0] = (words.at(-1) ?? "").split("-").map(minuteOfClock);
  const weekday = WEEKDAYS.findIndex((name) => name === words.at(-2));
  const onWeekday = (day: number): boolean => weekday === -1 || new Date(day).getUTCDay() === weekday;
  const onDay = words.length === 3 ? (day: number): boolean => onWeekday(day) && new Date(day).getUTCDate() <= 7 : onWeekday;
  return { zone: isZoned ? (written.at(-1) ?? "UTC") : "UTC", onDay, fromMs: from * MINUTE_MS, lengthMs: ((to - from + DAY_MINUTES) % DAY_MINUTES) * MINUTE_MS };
}

function minuteOfClock(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return hours * 60 + minutes;
}

function startOfDay(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}
