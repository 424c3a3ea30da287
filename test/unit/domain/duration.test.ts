import { expect, test } from "vitest";
import { formatDuration, MAX_DURATION_SECONDS, parseDuration } from "../../../src/domain/duration.ts";

test.each([
  ["30s", 30],
  ["15m", 900],
  ["4h", 14_400],
  ["7d", 604_800],
  ["12w", 7_257_600],
  ["36525d", MAX_DURATION_SECONDS],
])("%s is %d seconds", (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(["", "15", "m", "0s", "015m", "-1h", "1.5h", "1 h", "1h30m", "1M", "1y", "15min", " 15m", "15m\n", "36526d", "99999999999s", "1e3s"])("%j is no duration", (text) => {
  expect(parseDuration(text)).toBeNull();
});

test.each([
  [0, "0s"],
  [90, "90s"],
  [900, "15m"],
  [14_400, "4h"],
  [86_400, "1d"],
  [604_800, "7d"],
  [30 * 86_400, "30d"],
  [12 * 604_800, "12w"],
  [3600.9, "1h"],
])("%d seconds are written %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test("what is written is read as the same number of seconds", () => {
  for (const seconds of [1, 59, 60, 61, 3599, 3600, 86_399, 86_400, 604_799, 604_800, 1_209_600, MAX_DURATION_SECONDS])
    expect(parseDuration(formatDuration(seconds))).toBe(seconds);
});
