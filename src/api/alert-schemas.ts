import { z } from "zod";
import { SEVERITIES } from "../domain/alert-kinds.ts";
import { page, pageQuery, sourceQuery, text, textOrNull, time, timeOrNull } from "./schema-parts.ts";

const state = z.enum(["open", "acknowledged", "resolved"]);

export const alertSchema = z.object({
  id: text,
  kind: text,
  severity: z.enum(SEVERITIES),
  source: textOrNull,
  repository: textOrNull,
  title: text,
  detail: textOrNull,
  whatToDo: text,
  state,
  since: time,
  raisedAt: time,
  acknowledgedAt: timeOrNull,
  acknowledgedBy: textOrNull,
  acknowledgeReason: textOrNull,
  resolvedAt: timeOrNull,
});

export const alertsSchema = page(alertSchema);
export const alertsQuery = z.strictObject({ ...sourceQuery, severity: z.enum(SEVERITIES).optional(), state: state.optional(), ...pageQuery });
export const acknowledgeBody = z.strictObject({ reason: z.string().max(500).optional() });
