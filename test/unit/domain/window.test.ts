import { expect, test } from "vitest";
import { isInWindow, isWithin, mayBegin, nextClosing, nextOpening } from "../../../src/domain/window.ts";

const at = (clock: string): Date => new Date(`2026-11-21T${clock}Z`);

test.each<[readonly string[], string, boolean]>([
  [[], "12:00:00", true],
  [["02:00-04:00"], "02:00:00", true],
  [["02:00-04:00"], "03:59:59.999", true],
  [["02:00-04:00"], "04:00:00", false],
  [["02:00-04:00"], "01:59:59.999", false],
  [["22:30-01:15"], "23:00:00", true],
  [["22:30-01:15"], "00:00:00", true],
  [["22:30-01:15"], "01:15:00", false],
  [["22:30-01:15"], "22:29:59", false],
  [["02:00-04:00", "12:00-13:00"], "12:30:00", true],
])("%j at %s: %s", (windows, clock, expected) => {
  expect(isInWindow(windows, at(clock))).toBe(expected);
});

test.each<[string, string, boolean]>([
  ["Sunday 04:00-06:00", "2026-11-22T04:00:00Z", true],
  ["Sunday 04:00-06:00", "2026-11-22T06:00:00Z", false],
  ["Sunday 04:00-06:00", "2026-11-23T05:00:00Z", false],
  ["Saturday 22:00-02:00", "2026-11-22T01:59:59Z", true],
  ["Saturday 22:00-02:00", "2026-11-21T01:00:00Z", false],
  ["first Sunday 06:00-10:00", "2026-11-01T06:00:00Z", true],
  ["first Sunday 06:00-10:00", "2026-11-08T06:00:00Z", false],
  ["first Sunday 06:00-10:00", "2026-03-07T08:00:00Z", false],
  // Begins on the 7th, the first Saturday, and reaches into the 8th.
  ["first Saturday 22:00-02:00", "2026-11-08T01:00:00Z", true],
  ["2026-12-24T00:00:00Z/2026-12-27T00:00:00Z", "2026-12-26T23:59:59Z", true],
  ["2026-12-24T00:00:00Z/2026-12-27T00:00:00Z", "2026-12-27T00:00:00Z", false],
])("%s holds %s: %s", (window, moment, expected) => {
  expect(isWithin([window], new Date(moment))).toBe(expected);
});

test("the next opening may be weeks away, or never come; windows that follow each other close at the end of the last", () => {
  const from = new Date("2026-11-01T10:00Z");
  expect(nextOpening(["first Sunday 06:00-10:00"], from)).toEqual(new Date("2026-12-06T06:00Z"));
  expect(nextOpening(["2026-10-01T00:00:00Z/2026-10-02T00:00:00Z"], from)).toBeNull();
  expect(nextClosing(["10:00-12:00", "12:00-13:30", "14:00-15:00"], from)).toEqual(new Date("2026-11-01T13:30Z"));
  expect(nextClosing(["00:00-12:00", "12:00-00:00"], from)).toBeNull();
});

test("in a blackout nothing begins, not even the first backup; outside a window differentials and the first backup may", () => {
  const windows = { heavy: ["02:00-04:00"], blackout: ["2026-12-24T00:00:00Z/2026-12-27T00:00:00Z"] };
  const may = (type: "full" | "differential", hasBackup: boolean, now: string): boolean => mayBegin(type, windows, { hasBackup, now: new Date(now) });
  expect([may("full", false, "2026-12-24T03:00Z"), may("full", true, "2026-12-24T03:00Z"), may("differential", true, "2026-12-24T03:00Z")]).toEqual([false, false, false]);
  expect([may("full", false, "2026-12-27T12:00Z"), may("full", true, "2026-12-27T12:00Z"), may("differential", true, "2026-12-27T12:00Z")]).toEqual([true, false, true]);
});

test.each<[string, string, boolean]>([
  ["02:00-04:00 Europe/Berlin", "2026-01-10T01:00:00Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-01-10T03:00:00Z", false],
  ["02:00-04:00 Europe/Berlin", "2026-07-10T00:00:00Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-07-10T02:00:00Z", false],
  // 2026-03-29: clocks go from 02:00 to 03:00, so a window from 02:00 begins with the skip and ends at 04:00 on the clock.
  ["02:00-04:00 Europe/Berlin", "2026-03-29T00:59:59Z", false],
  ["02:00-04:00 Europe/Berlin", "2026-03-29T01:00:00Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-03-29T01:59:59Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-03-29T02:00:00Z", false],
  // 2026-10-25: 02:00 to 03:00 comes twice, and all of it belongs to the window.
  ["02:00-04:00 Europe/Berlin", "2026-10-25T00:00:00Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-10-25T02:59:59Z", true],
  ["02:00-04:00 Europe/Berlin", "2026-10-25T03:00:00Z", false],
  // In Auckland it is Sunday while it is Saturday in UTC.
  ["Sunday 04:00-06:00 Pacific/Auckland", "2026-06-20T16:30:00Z", true],
  ["first Sunday 04:00-06:00 Pacific/Auckland", "2026-06-06T16:30:00Z", true],
  ["first Sunday 04:00-06:00 Pacific/Auckland", "2026-06-13T16:30:00Z", false],
])("%s holds %s: %s, by the clocks of its zone", (window, moment, expected) => {
  expect(isWithin([window], new Date(moment))).toBe(expected);
});

test("the next opening is told by the clocks of the zone, also across the day on which they are changed", () => {
  expect(nextOpening(["02:00-04:00 Europe/Berlin"], new Date("2026-03-28T12:00Z"))).toEqual(new Date("2026-03-29T01:00Z"));
  expect(nextOpening(["02:00-04:00 Europe/Berlin"], new Date("2026-03-29T12:00Z"))).toEqual(new Date("2026-03-30T00:00Z"));
  expect(nextOpening(["02:00-04:00 Europe/Berlin"], new Date("2026-10-25T12:00Z"))).toEqual(new Date("2026-10-26T01:00Z"));
  expect(nextClosing(["02:00-04:00 Europe/Berlin"], new Date("2026-10-25T00:00Z"))).toEqual(new Date("2026-10-25T03:00Z"));
});
