import type { z } from "zod";
import type { BandwidthRule } from "../domain/bandwidth.ts";
import { countField, namedMap, rateField, section } from "./fields.ts";
import { windowOf, windowShape } from "./window-fields.ts";

/** How much at once, and how fast. */

/** The lowest rule whose time it is counts. */
export const bandwidthField: z.ZodType<BandwidthRule> = section({ ...windowShape, rate: rateField }).transform(({ rate, ...written }, context) => ({
  window: windowOf(written, context),
  bytesPerSecond: rate,
}));

export const limitsSection = section({
  host: section({ backups: countField.optional(), drills: countField.optional() }).prefault({}),
  repositories: namedMap("repository", countField).default({}),
});
