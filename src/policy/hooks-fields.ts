import type { z } from "zod";
import { durationField, field, section } from "./fields.ts";
import type { Hooks } from "./types.ts";

/** Long enough to freeze an application, short enough that a hook that hangs does not cost the backup its slot. */
const DEFAULT_TIMEOUT_SECONDS = 60;

/** A program and its arguments; an empty list is none. */
const hookField = field("must be a list of words: a program and its arguments", "such as [./freeze.sh, --quick]; there is no shell", (value) =>
  Array.isArray(value) && value[0] !== "" && value.every((word): word is string => typeof word === "string" && !word.includes("\0")) ? value : undefined,
).default([]);

export const hooksSection: z.ZodType<Hooks> = section({
  beforeBackup: hookField,
  afterBackup: hookField,
  onFailure: hookField,
  timeout: durationField.default(DEFAULT_TIMEOUT_SECONDS),
}).transform(({ timeout, ...commands }) => ({ ...commands, timeoutSeconds: timeout }));
