/** A moment in microseconds since 1970, as finely as PostgreSQL keeps it: a Date would round two commits into one. */
export type Micros = bigint & { readonly brand: "Micros" };

export function micros(value: bigint): Micros {
  return value as Micros;
}

export function fromDate(date: Date): Micros {
  return micros(BigInt(date.getTime()) * 1000n);
}

/** Rounded down to a millisecond. */
export function toDate(value: Micros): Date {
  return new Date(Number(value / 1000n));
}

/** RFC 3339 in UTC with six digits: `2026-11-21T16:44:54.123456Z`. */
export function formatMicros(value: Micros): string {
  return `${toDate(value).toISOString().slice(0, 19)}.${(value % 1_000_000n).toString().padStart(6, "0")}Z`;
}

/** For our own documents. Throws a RangeError on anything without a zone. */
export function parseMicros(text: string): Micros {
  const parsed = parseTime(text);
  if (typeof parsed !== "bigint") throw new RangeError(`not a time with a zone: ${JSON.stringify(text)}`);
  return parsed;
}

const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;

/** A time as people and PostgreSQL write it. "no-zone": all is well but for the zone, without which it means a different moment in every place. */
export function parseTime(text: string): Micros | "no-zone" | "not-a-time" {
  const match = TIME.exec(text.trim());
  if (match === null) return "not-a-time";
  const [, date, clock, fraction = "", zone] = match;
  if (zone === undefined) return "no-zone";
  const offset = zone.toUpperCase() === "Z" ? "Z" : zone.length === 3 ? `${zone}:00` : zone.includes(":") ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const seconds = Date.parse(`${date}T${clock}${(clock ?? "").length === 5 ? ":00" : ""}${offset}`);
  if (Number.isNaN(seconds)) return "not-a-time";
  return micros(BigInt(seconds) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, "0")));
}
