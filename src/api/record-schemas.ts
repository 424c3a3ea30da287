import { z } from "zod";
import { count, isPeriod, NOT_A_PERIOD, page, pageQuery, periodQuery, text, textOrNull, time, whole } from "./schema-parts.ts";

const facts = z.record(z.string(), z.unknown());
const kind = z.string().regex(/^[a-z]+(?:[.-][a-z]+)*$/, "must be a kind, such as token.added, or a group of them, such as access");

export const auditSchema = page(z.object({ at: time, kind: text, by: textOrNull, source: textOrNull, writer: text, sequence: count, facts }));
export const auditQuery = z
  .strictObject({ kind: kind.max(60).optional(), by: z.string().min(1).max(200).optional(), ...periodQuery, ...pageQuery })
  .refine(isPeriod, { message: NOT_A_PERIOD, path: ["from"] });

export const evidenceSchema = z.object({
  head: z.object({ writer: text, sequence: count, sha256: text }).nullable(),
  items: z.array(z.object({ sequence: count, at: time, kind: text, sha256: text, facts })),
  /** For the next page; null: there is none. */
  nextBefore: count.nullable(),
});
export const evidenceQuery = z.strictObject({ before: whole(1, 999_999_999).optional(), limit: whole(1, 500).default(100) });

export const reportsSchema = page(
  z.object({ writtenAt: time, from: textOrNull, to: textOrNull, sources: z.array(text).nullable(), status: textOrNull, writer: text, sequence: count }),
);
export const reportsQuery = z.strictObject(pageQuery);
