import type { z } from "zod";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { BackupType } from "../domain/backup-id.ts";
import type { PolicySelector } from "../domain/policy-selection.ts";
import type { Schedule } from "../domain/schedule.ts";
import { choiceField, durationField, field, flagField, isName, labelSection, listOf, nameField, numberField, rateField, says, section, textValue, versionField } from "./fields.ts";
import { hooksSection } from "./hooks-fields.ts";
import { suggest } from "./nearest.ts";
import { logRetentionField, logScheduleField, retentionField, scheduleField } from "./schedule-fields.ts";
import { VERIFY_TIERS } from "../domain/verify-tier.ts";
import { blackoutField, windowField } from "./window-fields.ts";
import { DATA_CLASSES, TIERS } from "./types.ts";
import type { BackupRule, DrillCheck, DrillRule, DrillSelect, LogRule, Policy, ScrubBudget, VerifyRule } from "./types.ts";

/** A policy file. Defaults are written here and nowhere else. */

const DEFAULT_VERIFY_SCHEDULE: Schedule = { kind: "cron", expression: "0 3 * * *", zone: "UTC" };
const DEFAULT_EXPIRE_SCHEDULE: Schedule = { kind: "every", seconds: 3600 };
const DEFAULT_COMMAND_TIMEOUT_SECONDS = 60;

const repositoriesField = field(
  "must be a list of different repository names",
  "such as [onsite, cloud]; the first is read from first",
  { type: "array", minItems: 1, uniqueItems: true, items: { type: "string" } },
  (value) => (Array.isArray(value) && value.length > 0 && new Set(value).size === value.length && value.every(isName) ? value : undefined),
);

const verifyTierField = field(
  `must be one of ${VERIFY_TIERS.join(", ")}`,
  (value) => (value === "restored" ? "restoring is what drills do: drills: { schedule: … }" : suggest(String(value), VERIFY_TIERS)),
  { enum: [...VERIFY_TIERS] },
  (value) => VERIFY_TIERS.find((tier) => tier === value),
);

const backupShape = {
  schedule: scheduleField,
  retention: retentionField,
  repositories: repositoriesField,
  verify: verifyTierField.optional(),
  recoveryTimeBudget: durationField.optional(),
};

const backupSection = (type: BackupType): z.ZodType<BackupRule> =>
  section(backupShape).transform(({ recoveryTimeBudget, verify, ...rule }): BackupRule => ({
    type,
    ...rule,
    verify: verify ?? null,
    recoveryTimeBudgetSeconds: recoveryTimeBudget ?? null,
  }));

const logSection: z.ZodType<LogRule> = section({
  schedule: logScheduleField,
  retention: logRetentionField,
  repositories: repositoriesField,
  recoveryTimeBudget: durationField.optional(),
}).transform(({ schedule, retention, repositories, recoveryTimeBudget }) => ({
  schedule,
  repositories,
  retentionSeconds: retention,
  recoveryTimeBudgetSeconds: recoveryTimeBudget ?? null,
}));

const expectSection = section({
  min: numberField.optional(),
  max: numberField.optional(),
  equals: field("must be text, a number, true or false", "what the first column of the first row must be", { type: ["string", "number", "boolean"] }, (value) =>
    typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : undefined,
  ).optional(),
}).transform(({ min, max, equals }, context) => {
  if (min !== undefined && max !== undefined && min > max) context.addIssue({ code: "custom", path: ["max"], message: says("is below min", "no answer could be right") });
  return { min: min ?? null, max: max ?? null, equals: equals ?? null };
});

const commandField = field(
  "must be a list of words: a program and its arguments",
  "such as [./smoke.sh, --quick]; there is no shell",
  { type: "array", minItems: 1, items: { type: "string" } },
  (value) =>
    Array.isArray(value) && value.length > 0 && value[0] !== "" && value.every((word): word is string => typeof word === "string" && !word.includes("\0")) ? value : undefined,
);

const CHECK_HINT = '{ sql: "select count(*) from orders", database: app, expect: { min: 1000 } } or { command: [./smoke.sh] }';

/** A query may have to read all there is. */
const DEFAULT_SQL_TIMEOUT_SECONDS = 3600;

const checkSection = section({
  name: textValue.optional(),
  sql: textValue.optional(),
  database: textValue.optional(),
  expect: expectSection.optional(),
  command: commandField.optional(),
  timeout: durationField.optional(),
  required: flagField.default(true),
}).transform(({ name, sql, database, expect, command, timeout, required }, context): UnnamedCheck => {
  const refuse = (path: string[], message: string): void => context.addIssue({ code: "custom", path, message: says(message, CHECK_HINT) });
  if (sql !== undefined && command !== undefined) refuse(["command"], "stands beside sql: a check has one of them");
  if (sql !== undefined) {
    const seconds = timeout ?? DEFAULT_SQL_TIMEOUT_SECONDS;
    return { kind: "sql", name: name ?? null, sql, database: database ?? "postgres", expect: expect ?? { min: null, max: null, equals: null }, timeoutSeconds: seconds, required };
  }
  if (database !== undefined) refuse(["database"], "goes with sql only");
  if (expect !== undefined) refuse(["expect"], "goes with sql only");
  if (command === undefined) refuse([], "must have sql or command");
  return { kind: "command", name: name ?? null, command: command ?? [], timeoutSeconds: timeout ?? DEFAULT_COMMAND_TIMEOUT_SECONDS, required };
});

type WithoutName<T> = T extends unknown ? Omit<T, "name"> & { readonly name: string | null } : never;
type UnnamedCheck = WithoutName<DrillCheck>;

export const DRILL_SELECTS: readonly DrillSelect[] = ["latest", "random", "random-time", "oldest", "worst-case"];

const drillSection: z.ZodType<DrillRule> = section({
  schedule: scheduleField,
  select: choiceField(DRILL_SELECTS).default("random"),
  checks: listOf(checkSection, `[${CHECK_HINT}]`).default([]),
}).transform(({ schedule, select, checks }) => ({ schedule, select, checks: checks.map((check, i) => ({ ...check, name: check.name ?? `${check.kind} check ${i + 1}` })) }));

const WINDOW_HINT = '[{ daily: "02:00-04:00" }], in UTC';
const BLACKOUT_HINT = "[{ from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z, reason: peak }]";

const backupsSection = section({
  full: backupSection("full"),
  incremental: backupSection("incremental").optional(),
  differential: backupSection("differential").optional(),
  log: logSection.optional(),
});

const SELECTOR_HINT = "{ labels: { team: payments } }, or a tier, or a dataClass, or several of these";

const selectorSection: z.ZodType<PolicySelector> = section({
  labels: labelSection.optional(),
  tier: choiceField(TIERS).optional(),
  dataClass: choiceField(DATA_CLASSES).optional(),
}).transform(({ labels = {}, tier, dataClass }, context) => {
  if (Object.keys(labels).length === 0 && tier === undefined && dataClass === undefined) context.addIssue({ code: "custom", message: says("must say to what", SELECTOR_HINT) });
  return { labels, tier: tier ?? null, dataClass: dataClass ?? null };
});

const shareField = field("must be a share", "above 0% and up to 100%, such as 5%", { type: "string", pattern: "^\\d{1,3}(\\.\\d+)?%$" }, (value) => {
  const percent = typeof value === "string" ? Number(/^(\d{1,3}(?:\.\d+)?)%$/.exec(value)?.[1]) : Number.NaN;
  return percent > 0 && percent <= 100 ? percent / 100 : undefined;
});

const scrubSection: z.ZodType<ScrubBudget> = section({ rate: rateField.optional(), share: shareField.optional() }).transform(({ rate, share }, context) => {
  if (rate === undefined && share === undefined)
    context.addIssue({ code: "custom", message: says("must say how much", "{ rate: 20MB/s }, or { share: 5% } of the time, or both") });
  return { bytesPerSecond: rate ?? null, share: share ?? null };
});

const DEFAULT_WAL_VERIFY_SECONDS = 900;

const verifySection = section({
  schedule: scheduleField.default(DEFAULT_VERIFY_SCHEDULE),
  tier: verifyTierField.default("decoded"),
  wal: durationField.default(DEFAULT_WAL_VERIFY_SECONDS),
  scrub: scrubSection.optional(),
}).transform(({ schedule, tier, wal, scrub }): VerifyRule => ({ schedule, tier, walSeconds: wal, scrub: scrub ?? null }));

/** As it is written. */
export const policyFileSchema = section({
  version: versionField,
  name: nameField,
  extends: nameField.optional(),
  appliesTo: selectorSection.optional(),
  changes: section({
    approval: choiceField(["required", "none"]).default("none"),
    reason: textValue.optional(),
    category: choiceField(["emergency", "standard", "normal"]).default("normal"),
  }).prefault({}),
  objectives: section({ rto: durationField.optional(), rpo: durationField.optional() }).prefault({}),
  backups: backupsSection,
  jitter: durationField.optional(),
  verify: verifySection.prefault({}),
  expire: section({ schedule: scheduleField.default(DEFAULT_EXPIRE_SCHEDULE) }).prefault({}),
  drills: drillSection.optional(),
  hooks: hooksSection.prefault({}),
  windows: section({ heavy: listOf(windowField, WINDOW_HINT).default([]), blackout: listOf(blackoutField, BLACKOUT_HINT).default([]) }).prefault({}),
});

export const policySchema: z.ZodType<Policy> = policyFileSchema.transform(
  ({ name, appliesTo, changes, objectives, backups, jitter, verify, expire, drills, hooks, windows }): Policy => ({
    name,
    appliesTo: appliesTo ?? null,
    changes: { ...changes, reason: changes.reason ?? null },
    objectives: { rtoSeconds: objectives.rto ?? null, rpoSeconds: objectives.rpo ?? null },
    backups: new Map(BACKUP_TYPES.flatMap((type) => (backups[type] === undefined ? [] : [[type, backups[type]] as const]))),
    log: backups.log ?? null,
    jitterSeconds: jitter ?? 0,
    verify,
    expire,
    drills: drills ?? null,
    hooks,
    windows,
  }),
);
