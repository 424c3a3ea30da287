import { expect, test } from "vitest";
import type { RetentionRule } from "../../../src/domain/retention.ts";
import { describeRetention, describeSchedule } from "../../../src/domain/schedule-words.ts";
import type { Schedule } from "../../../src/domain/schedule.ts";

const cron = (expression: string, zone = "UTC"): Schedule => ({ kind: "cron", expression, zone });

test.each<[Schedule | { kind: "stream" }, string]>([
  [{ kind: "stream" }, "streamed, as it is written"],
  [{ kind: "every", seconds: 900 }, "every 15m"],
  [{ kind: "every", seconds: 21_600 }, "every 6h from 00:00 UTC"],
  [{ kind: "every", seconds: 7 * 3600 }, "every 7h"],
  [cron("0 2 * * 0"), "every Sunday at 02:00 UTC"],
  [cron("0 2 * * 7"), "every Sunday at 02:00 UTC"],
  [cron("5 14 * * *", "Europe/Berlin"), "every day at 14:05 Europe/Berlin"],
  [cron("0 4 1 * *"), "on day 1 of every month at 04:00 UTC"],
  [cron("0 6 * * 0#1"), "every first Sunday of a month at 06:00 UTC"],
  [cron("0 0 L * *"), "at '0 0 L * *' (UTC)"],
  [cron("*/5 6-21 * * *"), "at '*/5 6-21 * * *' (UTC)"],
  [cron("0 2 1 * 0"), "at '0 2 1 * 0' (UTC)"],
  [cron("0 2 * 6 0"), "at '0 2 * 6 0' (UTC)"],
  [cron("@weekly"), "at '@weekly' (UTC)"],
])("%j is %s", (schedule, words) => {
  expect(describeSchedule(schedule)).toBe(words);
});

const NOTHING: RetentionRule = { keepForSeconds: null, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null };

test.each<[Partial<RetentionRule>, string]>([
  [{ keepForSeconds: 12 * 604_800 }, "for 12w"],
  [{ keepLast: 2 }, "the newest 2"],
  [{ keepForSeconds: 86_400, keepLast: 2, daily: 7, yearly: 1 }, "for 1d; the newest 2; the last of 7 days, of 1 year"],
])("%j is kept %s", (rule, words) => {
  expect(describeRetention({ ...NOTHING, ...rule })).toBe(words);
});
