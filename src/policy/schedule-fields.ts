import { z } from "zod";
import { parseDuration } from "../domain/duration.ts";
import type { RetentionRule } from "../domain/retention.ts";
import { cronProblem } from "../domain/schedule.ts";
import type { Schedule } from "../domain/schedule.ts";
import { countField, durationField, says, section, withEditorForm } from "./fields.ts";

/** When and how long: schedules, retention. */

const SCHEDULE_HINT = '{ cron: "0 2 * * 0" } or { every: 6h }';

const written = (message: string, hint: string): z.ZodString => z.string({ error: () => says(message, hint) });

const scheduleSection = section({
  cron: written("must be a cron expression of five fields", 'minute hour day month weekday, in quotes: "0 2 * * 0" is Sunday 02:00').optional(),
  zone: written("must be the name of a time zone", "such as Europe/Berlin; left out, it is UTC").optional(),
  every: durationField.optional(),
});

/** `{ cron, zone }` or `{ every }`. */
export const scheduleField: z.ZodType<Schedule> = z.preprocess(refuseBareSchedule, scheduleSection).transform(({ cron, zone, every }, context): Schedule => {
  const refuse = (path: string[], message: string, hint: string): never => {
    context.addIssue({ code: "custom", path, message: says(message, hint) });
    return z.NEVER;
  };
  if (cron !== undefined && every !== undefined) return refuse(["every"], "stands beside cron: a schedule has one of them", SCHEDULE_HINT);
  if (every !== undefined)
    return zone === undefined ? { kind: "every", seconds: every } : refuse(["zone"], "goes with cron only: intervals are aligned to 00:00 UTC", SCHEDULE_HINT);
  if (cron === undefined) return refuse([], "must say when", SCHEDULE_HINT);
  const expression = cron.trim();
  if (zone !== undefined && cronProblem("0 0 * * *", zone) !== null) return refuse(["zone"], "must be the name of a time zone", "such as Europe/Berlin; left out, it is UTC");
  const problem = cronProblem(expression, zone ?? "UTC");
  return problem === null ? { kind: "cron", expression, zone: zone ?? "UTC" } : refuse(["cron"], problem, 'minute hour day month weekday, in quotes: "0 2 * * 0" is Sunday 02:00');
});

/** `schedule: stream` means something for the log only; `schedule: 6h` lacks a word. Both are met often enough to be answered in so many words. */
function refuseBareSchedule(value: unknown, context: z.core.$RefinementCtx): unknown {
  if (typeof value !== "string") return value;
  const hint = parseDuration(value) === null ? SCHEDULE_HINT : `{ every: ${value} }`;
  context.addIssue({ code: "custom", message: value === "stream" ? says("can be stream for the log only", SCHEDULE_HINT) : says("must be a map with cron or every", hint) });
  return z.NEVER;
}

/** As `scheduleField`, or the word `stream`. */
export const logScheduleField: z.ZodType<Schedule | { kind: "stream" }> = withEditorForm(
  z.unknown().transform((value, context): Schedule | { kind: "stream" } => {
    if (value === "stream") return { kind: "stream" };
    const parsed = scheduleField.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
    return z.NEVER;
  }),
  [{ const: "stream" }, scheduleSection],
);

const RETENTION_HINT = "12w, or any of { keepFor: 30d, keepLast: 2, daily: 7, weekly: 5, monthly: 12, yearly: 7 }";

const retentionSection = section({
  keepFor: durationField.optional(),
  keepLast: countField.optional(),
  daily: countField.optional(),
  weekly: countField.optional(),
  monthly: countField.optional(),
  yearly: countField.optional(),
});

/** A rule, or a bare duration, which is `keepFor`. An empty rule would keep nothing, which nobody means. */
export const retentionField: z.ZodType<RetentionRule> = withEditorForm(
  z.preprocess(bareIsKeepFor, retentionSection).transform((rule, context): RetentionRule => {
    if (Object.keys(rule).length === 0) context.addIssue({ code: "custom", message: says("must keep something", RETENTION_HINT) });
    return {
      keepForSeconds: rule.keepFor ?? null,
      keepLast: rule.keepLast ?? null,
      daily: rule.daily ?? null,
      weekly: rule.weekly ?? null,
      monthly: rule.monthly ?? null,
      yearly: rule.yearly ?? null,
    };
  }),
  [durationField, retentionSection],
);

/** The log is one stretch of time: it has an age and no counts. */
const logRetentionSection = section({ keepFor: durationField });

export const logRetentionField: z.ZodType<number> = withEditorForm(
  z.preprocess(bareIsKeepFor, logRetentionSection).transform(({ keepFor }) => keepFor),
  [durationField, logRetentionSection],
);

function bareIsKeepFor(value: unknown): unknown {
  return typeof value === "string" || typeof value === "number" ? { keepFor: value } : value;
}
