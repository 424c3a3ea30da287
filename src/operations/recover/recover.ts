import { readFile } from "node:fs/promises";
import path from "node:path";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { formatLsn } from "../../domain/lsn.ts";
import { CONFIRMED_STEPS, remainingSteps } from "../../domain/recovery-steps.ts";
import type { RecoveryStep, StepRecord } from "../../domain/recovery-steps.ts";
import { formatMicros } from "../../domain/timestamp.ts";
import { HoldfastError, messageOf, must } from "../../errors.ts";
import type { Journal } from "../record-run.ts";
import type { OperationContext } from "../context.ts";
import type { RestorePlan } from "../restore/plan-restore.ts";
import { recordStep } from "./recovery-log.ts";
import type { RecordedRecovery } from "./recovery-log.ts";

/** What the steps do, by whoever knows the inventory: the same code that `restore` and `drill` run. */
export interface RecoveryParts {
  /** In words, how the source and its copies are. */
  assess(): Promise<string>;
  /** Plans by every copy that leads to the point, best first; a point that was chosen before is planned again. */
  plan(chosen: { readonly lsn: string; readonly backupId: string } | null): Promise<RestorePlan[]>;
  restore(plans: readonly RestorePlan[]): Promise<string>;
  /** Starts the restored server, or joins it where it runs, and waits until it has reached the point. */
  applyLogs(plan: RestorePlan): Promise<string>;
  verify(plan: RestorePlan): Promise<DrillCheckResult[]>;
  connectivity(plan: RestorePlan): Promise<DrillCheckResult[]>;
  /** Resolves once somebody who may has said that the step is to be done; rejects where nobody can be asked. */
  confirm(step: RecoveryStep, about: string): Promise<void>;
}

export interface RecoveryOutcome {
  readonly steps: readonly StepRecord[];
  readonly checks: readonly DrillCheckResult[];
  /** The step that failed; null: all are done. */
  readonly failed: RecoveryStep | null;
}

/** Does what is left of a recovery, step by step, each on record as soon as it ended. Killed at any moment, it is run again and goes on. */
export async function recover(recovery: RecordedRecovery, parts: RecoveryParts, journal: Journal, context: OperationContext): Promise<RecoveryOutcome> {
  return new Recovery(recovery, parts, journal, context).run();
}

interface StepResult {
  readonly detail: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly checks?: readonly DrillCheckResult[];
}

class Recovery {
  readonly #recovery: RecordedRecovery;
  readonly #parts: RecoveryParts;
  readonly #journal: Journal;
  readonly #context: OperationContext;
  readonly #steps: StepRecord[];
  readonly #checks: DrillCheckResult[] = [];
  #plans: RestorePlan[] | null = null;

  constructor(recovery: RecordedRecovery, parts: RecoveryParts, journal: Journal, context: OperationContext) {
    this.#recovery = recovery;
    this.#parts = parts;
    this.#journal = journal;
    this.#context = context;
    this.#steps = [...recovery.steps];
  }

  async run(): Promise<RecoveryOutcome> {
    for (const step of remainingSteps(this.#recovery.steps)) {
      this.#context.signal.throwIfAborted();
      if (CONFIRMED_STEPS.includes(step)) await this.#parts.confirm(step, this.#soFar());
      this.#context.onProgress({ phase: step, doneBytes: 0, totalBytes: null });
      const record = await this.#do(step);
      crashPoint("recover.before-record");
      this.#steps.push(record);
      await recordStep(this.#journal, this.#recovery.order, record);
      if (record.outcome === "failed") return { steps: this.#steps, checks: this.#checks, failed: step };
    }
    return { steps: this.#steps, checks: this.#checks, failed: null };
  }

  #soFar(): string {
    return this.#steps.map(({ detail }) => detail).at(-1) ?? "";
  }

  /** An error of the world ends the command, and the step is done again by the next one; a check that fails is an answer. */
  async #do(step: RecoveryStep): Promise<StepRecord> {
    const elapsed = stopwatch(this.#context.clock);
    try {
      const { detail, facts = {}, checks = [] } = await this.#act(step);
      this.#checks.push(...checks);
      const wrong = checks.filter(({ required, outcome }) => required && outcome !== "pass");
      const outcome = wrong.length === 0 ? "done" : "failed";
      return { step, outcome, seconds: elapsed(), detail: wrong.length === 0 ? detail : wrong.map(({ name, detail: why }) => `${name}: ${why}`).join("; "), facts };
    } catch (error) {
      if (this.#context.signal.aborted) throw error;
      await recordStep(this.#journal, this.#recovery.order, { step, outcome: "failed", seconds: elapsed(), detail: messageOf(error), facts: {} });
      throw error;
    }
  }

  async #act(step: RecoveryStep): Promise<StepResult> {
    switch (step) {
      case "assess":
        return { detail: await this.#parts.assess() };
      case "identify":
        return describePlan(must((await this.#planned())[0], "a plan"));
      case "restore": {
        const plans = await this.#planned();
        const done = await isRestored(this.#recovery.order.target, must(plans[0], "a plan"));
        return { detail: done ? "was restored before" : await this.#parts.restore(plans) };
      }
      case "apply-logs":
        return { detail: await this.#parts.applyLogs(await this.#plan()) };
      case "verify":
        return checked(await this.#parts.verify(await this.#plan()));
      case "connectivity":
        return checked(await this.#parts.connectivity(await this.#plan()));
      case "resume":
        return { detail: `in use from now on: ${this.#recovery.order.target}` };
    }
  }

  async #plan(): Promise<RestorePlan> {
    return must((await this.#planned())[0], "a plan");
  }

  /** Once a point was chosen it stays the one, whatever came into the repository since. */
  async #planned(): Promise<RestorePlan[]> {
    const facts = this.#steps.findLast(({ step, outcome }) => step === "identify" && outcome === "done")?.facts;
    const chosen = typeof facts?.["recordLsn"] === "string" && typeof facts["backupId"] === "string" ? { lsn: facts["recordLsn"], backupId: facts["backupId"] } : null;
    this.#plans ??= await this.#parts.plan(chosen);
    const [plan] = this.#plans;
    if (chosen !== null && plan !== undefined && formatLsn(plan.resolved.record) !== chosen.lsn)
      throw new HoldfastError("HF-TARGET-UNREACHABLE", `the point that was chosen (${chosen.lsn}) is planned as ${formatLsn(plan.resolved.record)} now`, {
        hint: "begin another recovery, without --resume, into another folder",
      });
    return this.#plans;
  }
}

function describePlan({ view, stored, resolved, bytes }: RestorePlan): StepResult {
  const lost = resolved.nextCommit === null ? "nothing that is known of is lost" : `lost is what was committed from ${formatMicros(resolved.nextCommit.at)} on`;
  return {
    detail: `${stored.manifest.id} from ${view.repository.name}, to ${formatLsn(resolved.end)} on timeline ${resolved.timeline}; ${lost}`,
    facts: {
      repository: view.repository.name,
      backupId: stored.manifest.id,
      timeline: resolved.timeline,
      recordLsn: formatLsn(resolved.record),
      reachedLsn: formatLsn(resolved.end),
      bytes,
      walSegments: resolved.segments.length,
    },
  };
}

function checked(checks: readonly DrillCheckResult[]): StepResult {
  const passed = checks.filter(({ outcome }) => outcome === "pass").length;
  return { detail: `${passed} of ${checks.length} checks passed`, checks, facts: { checks } };
}

/** A folder that was restored to this very point, and whose record we did not live to write. pg_control is put in place last, so where it is all else is. */
async function isRestored(target: string, { resolved }: RestorePlan): Promise<boolean> {
  const [control, configuration] = await Promise.all(
    ["global/pg_control", "postgresql.auto.conf"].map(async (name) => readFile(path.join(target, name), "latin1").catch(() => null)),
  );
  return control !== null && control !== undefined && (configuration ?? "").includes(`recovery_target_lsn = '${formatLsn(resolved.record)}'`);
}
