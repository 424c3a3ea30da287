import { z } from "zod";
import { parseTime, toDate } from "../domain/timestamp.ts";
import { WEEKDAYS } from "../domain/window.ts";
import type { Window } from "../domain/window.ts";
import { isKnownZone } from "../domain/zone.ts";
import { field, says, section, textValue } from "./fields.ts";
import type { Blackout } from "./types.ts";

/** Windows and blackouts, which come every day, every week, every month, or once. */

const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d";
const DAY = `(${WEEKDAYS.join("|")})`;

/** Two different times of day: from one to the same would be nothing, or a day. */
function parseRecurring(value: unknown, form: RegExp): Window | undefined {
  if (typeof value !== "string" || !form.test(value)) return undefined;
  const [from, to] = (value.split(" ").at(-1) ?? "").split("-");
  return from === to ? undefined : value;
}

const recurring = (message: string, example: string, form: string): z.ZodType<Window> =>
  field(message, `"${example}", in quotes, and in UTC unless a zone is named`, { type: "string", pattern: `^${form}$` }, (value) => parseRecurring(value, new RegExp(`^${form}$`)));

const momentField = field("must be a time with a zone", "such as 2026-12-24T00:00Z", { type: "string" }, (value) => {
  const parsed = typeof value === "string" ? parseTime(value) : "not-a-time";
  return typeof parsed === "bigint" ? toDate(parsed) : undefined;
});

/** The zone of clocks, by its IANA name. */
const zoneField = field("must be the name of a time zone", "such as Europe/Berlin; left out, it is UTC", { type: "string" }, (value) =>
  typeof value === "string" && isKnownZone(value) ? value : undefined,
);

export const windowShape = {
  daily: recurring("must be two times of day", "02:00-04:00", `${CLOCK}-${CLOCK}`).optional(),
  weekly: recurring("must be a day of the week and two times of day", "Sunday 04:00-06:00", `${DAY} ${CLOCK}-${CLOCK}`).optional(),
  monthly: recurring("must be the first of a day of the week and two times of day", "first Sunday 06:00-10:00", `first ${DAY} ${CLOCK}-${CLOCK}`).optional(),
  from: momentField.optional(),
  to: momentField.optional(),
  zone: zoneField.optional(),
};

type Written = { readonly [key in "daily" | "weekly" | "monthly"]?: Window | undefined } & {
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  readonly zone?: string | undefined;
};

const HINT = '{ daily: "02:00-04:00" }, { weekly: "Sunday 04:00-06:00" }, { monthly: "first Sunday 06:00-10:00" } or { from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z }';

export function windowOf({ daily, weekly, monthly, from, to, zone }: Written, context: z.RefinementCtx): Window {
  const refuse = (path: string[], message: string): Window => {
    context.addIssue({ code: "custom", path, message: says(message, HINT) });
    return z.NEVER;
  };
  const forms = [daily, weekly, monthly].filter((form) => form !== undefined);
  const [form] = forms;
  const isOnce = from !== undefined || to !== undefined;
  if (forms.length + Number(isOnce) > 1) return refuse([], "says more than once when");
  if (form !== undefined) return zone === undefined || zone === "UTC" ? form : `${form} ${zone}`;
  if (zone !== undefined) return refuse(["zone"], "goes with daily, weekly and monthly: from and to name their own");
  if (from === undefined) return refuse(isOnce ? ["to"] : [], isOnce ? "needs a beginning: from" : "must say when");
  if (to === undefined) return refuse(["from"], "needs an end: to");
  if (to <= from) return refuse(["to"], "must be later than from");
  return `${text(from)}/${text(to)}`;
}

export const windowField: z.ZodType<Window> = section(windowShape).transform(windowOf);

export const blackoutField: z.ZodType<Blackout> = section({ ...windowShape, reason: textValue.optional() }).transform(({ reason, ...written }, context) => ({
  window: windowOf(written, context),
  reason: reason ?? null,
}));

function text(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}
