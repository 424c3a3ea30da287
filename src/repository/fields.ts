import { z } from "zod";
import { parseTime } from "../domain/timestamp.ts";

/** Fields of what was signed. Its signer may have signed anything, and later code counts and computes with these. */
export const lsnText = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);
export const timeText = z.string().refine((text) => typeof parseTime(text) === "bigint", "not a time");

/** A size that PostgreSQL can be built or made with. */
export function powerOfTwo(least: number, most: number): z.ZodNumber {
  return z
    .number()
    .int()
    .min(least)
    .max(most)
    .refine((value) => Number.isInteger(Math.log2(value)), "not a power of two");
}

export const walSegmentBytes = powerOfTwo(1 << 20, 1 << 30);
