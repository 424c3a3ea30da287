import { z } from "zod";
import { parseTime, toDate } from "../domain/timestamp.ts";

/** The words of the wire: what requests may ask, and the pieces answers are made of. Times RFC 3339 in UTC, durations in seconds, sizes in bytes, LSNs as text. */
export const time = z.string().meta({ format: "date-time" });
export const timeOrNull = time.nullable();
export const text = z.string();
export const textOrNull = z.string().nullable();
export const seconds = z.number().nonnegative();
export const secondsOrNull = seconds.nullable();
export const bytesOrNull = z.number().nonnegative().nullable();
export const count = z.int().nonnegative();
export const countOrNull = count.nullable();

export const objectives = z.object({ rtoSeconds: seconds, rpoSeconds: seconds });

/** A list that goes on at `nextOffset`, or ends. */
export function page<T extends z.ZodType>(item: T): z.ZodObject<{ items: z.ZodArray<T>; nextOffset: z.ZodNullable<z.ZodInt> }> {
  return z.object({ items: z.array(item), nextOffset: count.nullable() });
}

const MOST_ITEMS = 500;
const MOST_OFFSET = 1_000_000;
const MOST_PERIOD_DAYS = 400;

/** Whole numbers as they stand in an address. */
export function whole(least: number, most: number): z.ZodType<number, string> {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => value >= least && value <= most, message);
}

export const moment = z.string().transform((written, context) => {
  const parsed = parseTime(written);
  if (typeof parsed === "bigint") return toDate(parsed);
  context.addIssue(parsed === "no-zone" ? "has no zone: end it with Z" : "must be a time such as 2026-11-21T16:44:54Z (a + is written %2B)");
  return z.NEVER;
});

const name = z.string().min(1).max(200);

export const noQuery = z.strictObject({});
export const sourceQuery = { source: name.optional() };
export const pageQuery = { limit: whole(1, MOST_ITEMS).default(100), offset: whole(0, MOST_OFFSET).default(0) };
export const periodQuery = { from: moment.optional(), to: moment.optional() };
export const nameParams = z.object({ name: z.string() });
export const idParams = z.object({ id: z.string() });

/** True unless both ends are given and make no period that can be answered. */
export function isPeriod({ from, to }: { from?: Date | undefined; to?: Date | undefined }): boolean {
  return from === undefined || to === undefined || (from < to && to.getTime() - from.getTime() <= MOST_PERIOD_DAYS * 86_400_000);
}

export const NOT_A_PERIOD = `'from' must be earlier than 'to', by at most ${MOST_PERIOD_DAYS} days`;

/** What makes it safe to ask again after an answer was lost. */
export const idempotencyHeaders = z.looseObject({
  "idempotency-key": z.string().regex(/^[\x21-\x7e]{1,200}$/, "must be 1 to 200 visible characters of your choice, new for each command"),
});
