import { formatDuration } from "./duration.ts";
import type { RetentionRule } from "./retention.ts";
import type { Schedule } from "./schedule.ts";

/** Schedules and retention as a person would say them. What is not among the usual forms is shown as it was written. */

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** `every Sunday at 02:00 UTC`, `every 6h from 00:00 UTC`. */
export function describeSchedule(schedule: Schedule | { readonly kind: "stream" }): string {
  if (schedule.kind === "stream") return "streamed, as it is written";
  if (schedule.kind === "every") return `every ${formatDuration(schedule.seconds)}${schedule.seconds > 3600 && 86_400 % schedule.seconds === 0 ? " from 00:00 UTC" : ""}`;
  const { expression, zone } = schedule;
  const [minute = "", hour = "", day = "", month = "", weekday = "", more] = expression.split(/\s+/);
  if (more !== undefined || !/^\d{1,2}$/.test(minute) || !/^\d{1,2}$/.test(hour) || month !== "*") return `at '${expression}' (${zone})`;
  const days = describeDays(day, weekday);
  return days === null ? `at '${expression}' (${zone})` : `${days} at ${hour.padStart(2, "0")}:${minute.padStart(2, "0")} ${zone}`;
}

function describeDays(day: string, weekday: string): string | null {
  if (day === "*" && weekday === "*") return "every day";
  if (day === "*" && /^[0-7]$/.test(weekday)) return `every ${WEEKDAYS[Number(weekday)]}`;
  if (day === "*" && /^[0-7]#1$/.test(weekday)) return `every first ${WEEKDAYS[Number(weekday[0])]} of a month`;
  return weekday === "*" && /^\d{1,2}$/.test(day) ? `on day ${Number(day)} of every month` : null;
}

/** `for 12w`, `for 30d; the newest 2; the last of 7 days, of 5 weeks`. */
export function describeRetention({ keepForSeconds, keepLast, daily, weekly, monthly, yearly }: RetentionRule): string {
  const periods = [
    { count: daily, unit: "day" },
    { count: weekly, unit: "week" },
    { count: monthly, unit: "month" },
    { count: yearly, unit: "year" },
  ].flatMap(({ count, unit }) => (count === null ? [] : [`of ${count} ${unit}${count === 1 ? "" : "s"}`]));
  return [
    ...(keepForSeconds === null ? [] : [`for ${formatDuration(keepForSeconds)}`]),
    ...(keepLast === null ? [] : [`the newest ${keepLast}`]),
    ...(periods.length === 0 ? [] : [`the last ${periods.join(", ")}`]),
  ].join("; ");
}
