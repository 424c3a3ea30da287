import { expect, test } from "vitest";
import { completeUntilNow, exposureSeconds } from "../../../src/domain/exposure.ts";
import type { Lsn } from "../../../src/domain/lsn.ts";
import { micros } from "../../../src/domain/timestamp.ts";

const lsn = (value: number): Lsn => BigInt(value) as Lsn;
const at = (second: number): ReturnType<typeof micros> => micros(BigInt(second) * 1_000_000n);
const primary = (position: number, second: number): { position: Lsn; now: ReturnType<typeof micros>; isPrimary: boolean } => ({
  position: lsn(position),
  now: at(second),
  isPrimary: true,
});

test("a copy that holds all that the server has written is complete by the server's clock, whatever was committed last", () => {
  const copy = { recoverableTo: lsn(100), completeUntil: at(10) };
  expect(completeUntilNow(copy, null, primary(100, 3600))).toBe(at(3600));
  expect(completeUntilNow({ ...copy, completeUntil: null }, null, primary(90, 3600))).toBe(at(3600));
  expect(completeUntilNow(copy, null, { ...primary(100, 3600), isPrimary: false })).toBe(at(10));
});

test("a commit after an idle hour is as old as it is, and not an hour", () => {
  const copy = { recoverableTo: lsn(100), completeUntil: at(10) };
  const caughtUp = { ...copy, completeUntil: completeUntilNow(copy, null, primary(100, 3600)) };
  const completeUntil = completeUntilNow(copy, caughtUp, primary(150, 3602));
  expect(exposureSeconds({ recoverableTo: copy.recoverableTo, completeUntil, serverPosition: lsn(150), serverNow: at(3602) })).toBe(2);
});

test("what an earlier look knew is nothing once the copy reaches less far, or the clock was set back", () => {
  const before = { recoverableTo: lsn(100), completeUntil: at(3600) };
  expect(completeUntilNow({ recoverableTo: lsn(60), completeUntil: at(10) }, before, primary(150, 3700))).toBe(at(10));
  expect(completeUntilNow({ recoverableTo: lsn(120), completeUntil: at(10) }, before, primary(150, 3500))).toBe(at(10));
  expect(completeUntilNow({ recoverableTo: lsn(120), completeUntil: at(3650) }, before, primary(150, 3700))).toBe(at(3650));
  expect(completeUntilNow({ recoverableTo: lsn(120), completeUntil: null }, before, primary(150, 3700))).toBe(at(3600));
  expect(completeUntilNow({ recoverableTo: lsn(120), completeUntil: null }, null, primary(150, 3700))).toBeNull();
  expect(completeUntilNow({ recoverableTo: lsn(120), completeUntil: at(10) }, before, null)).toBe(at(3600));
});
