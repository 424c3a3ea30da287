import fc from "fast-check";
import { expect, test } from "vitest";
import { isoTime } from "../../../src/domain/iso-time.ts";

test("a time is written as Date writes it, before 1970 too, and again after many other days", () => {
  fc.assert(fc.property(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }), (ms) => isoTime(ms) === new Date(ms).toISOString()));
  for (let day = 0; day < 5000; day++) isoTime(day * 86_400_000);
  expect(isoTime(Date.parse("2026-11-21T16:44:54.007Z"))).toBe("2026-11-21T16:44:54.007Z");
  expect(() => isoTime(Number.NaN)).toThrow(RangeError);
});
