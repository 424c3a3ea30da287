import { z } from "zod";
import { pageOfEntries } from "../../catalog/entries.ts";
import { RECOVERY_STEPS, remainingSteps } from "../../domain/recovery-steps.ts";
import type { StepRecord } from "../../domain/recovery-steps.ts";
import { recordEntry } from "../record-run.ts";
import type { Journal } from "../record-run.ts";

/** A recovery as it is on record: what was asked for, and what was done of it. */
const orderSchema = z.object({
  recovery: z.string(),
  source: z.string(),
  to: z.string(),
  /** The folder; null: into a server. */
  target: z.string().nullable(),
  /** Where the address of the server is that databases are loaded into; null: into a folder. */
  into: z.string().nullable().default(null),
  from: z.string().nullable(),
  owner: z.string().nullable(),
  port: z.number().nullable(),
});
export type RecoveryOrder = z.infer<typeof orderSchema>;

const stepSchema = z.object({
  recovery: z.string(),
  step: z.enum(RECOVERY_STEPS),
  outcome: z.enum(["done", "failed"]),
  seconds: z.number(),
  detail: z.string(),
  facts: z.record(z.string(), z.unknown()),
});

export interface RecordedRecovery {
  readonly order: RecoveryOrder;
  readonly steps: readonly StepRecord[];
}

const MOST_ENTRIES = 500;

/** The newest recovery of a source that this host began and did not finish; null where there is none. */
export function unfinishedRecovery({ catalog, evidence }: Journal, source: string): RecordedRecovery | null {
  const entries = pageOfEntries(catalog, { sources: [source], kind: "recovery", by: null, from: null, to: null, limit: MOST_ENTRIES, offset: 0 }).filter(
    ({ writer }) => writer === evidence.writer,
  );
  const orders = entries.filter(({ kind }) => kind === "recovery.begun").flatMap(({ facts }) => orderSchema.safeParse(facts).data ?? []);
  const [order] = orders;
  if (order === undefined) return null;
  const steps = entries
    .filter(({ kind }) => kind === "recovery.step")
    .toSorted((a, b) => a.sequence - b.sequence)
    .flatMap(({ facts }) => stepSchema.safeParse(facts).data ?? [])
    .filter(({ recovery }) => recovery === order.recovery);
  return remainingSteps(steps).length === 0 ? null : { order, steps };
}

export async function recordBegun(journal: Journal, order: RecoveryOrder): Promise<void> {
  await recordEntry(journal, "recovery.begun", { ...order });
}

export async function recordStep(journal: Journal, { recovery, source }: RecoveryOrder, record: StepRecord): Promise<void> {
  await recordEntry(journal, "recovery.step", { recovery, source, ...record });
}
