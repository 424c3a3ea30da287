import { parseTime, toDate } from "../domain/timestamp.ts";
import { HoldfastError } from "../errors.ts";

/** A moment given with an option. Throws `HF-TARGET` for one without a zone, and for what is no time. */
export function parseMoment(option: string, text: string): Date {
  const moment = parseTime(text);
  if (typeof moment === "bigint") return toDate(moment);
  throw new HoldfastError("HF-TARGET", moment === "no-zone" ? `${option} ${text} has no time zone` : `${option} ${JSON.stringify(text)} is not a time`, {
    hint: "for example 2026-11-01T00:00Z",
  });
}
