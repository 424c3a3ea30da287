import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { CONFIRMED_STEPS, remainingSteps } from "../../domain/recovery-steps.ts";
import type { RecoveryStep, StepRecord } from "../../domain/recovery-steps.ts";
import { messageOf, must } from "../../errors.ts";
import type { Facts } from "../../errors.ts";
import type { Journal } from "../record-run.ts";
import type { OperationContext } from "../context.ts";
import { recordStep } from "./recovery-log.ts";
import type { RecordedRecovery } from "./recovery-log.ts";

/** What the steps do for one kind of source, by whoever knows the inventory: the same code that `restore` and `drill` run. `Plan` is how that kind is restored. */
export interface RecoveryParts<Plan> {
  /** In words, how the source and its copies are. */
  assess(): Promise<string>;
  /** Plans by every copy that leads to the point, best first. `chosen`: what is on record of the point that was chosen before; it stays the one, whatever came into the repository since, or this rejects. */
  plan(chosen: Facts | null): Promise<readonly Plan[]>;
  /** The point in words, and as it is kept on record to be planned again by. */
  describe(plan: Plan): { readonly detail: string; readonly facts: Facts };
  /** Whether the target holds all of this very point, restored by one of us that did not live to say so. */
  isRestored(plan: Plan): Promise<boolean>;
  restore(plans: readonly Plan[]): Promise<string>;
  /** Brings what was restored to its point, and to where it can be asked: starts its server, or joins it where it runs. */
  applyLogs(plan: Plan): Promise<string>;
  verify(plan: Plan): Promise<readonly DrillCheckResult[]>;
  connectivity(plan: Plan): Promise<readonly DrillCheckResult[]>;
  /** Where people find what was brought back. */
  readonly place: string;
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
export async function recover<Plan>(recovery: RecordedRecovery, parts: RecoveryParts<Plan>, journal: Journal, context: OperationContext): Promise<RecoveryOutcome> {
  return new Recovery(recovery, parts, journal, context).run();
}

interface StepResult {
  readonly detail: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly checks?: readonly DrillCheckResult[];
}

class Recovery<Plan> {
  readonly #recovery: RecordedRecovery;
  readonly #parts: RecoveryParts<Plan>;
  readonly #journal: Journal;
  readonly #context: OperationContext;
  readonly #steps: StepRecord[];
  readonly #checks: DrillCheckResult[] = [];
  #plans: readonly Plan[] | null = null;

  constructor(recovery: RecordedRecovery, parts: RecoveryParts<Plan>, journal: Journal, context: OperationContext) {
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
        return this.#parts.describe(await this.#plan());
      case "restore": {
        const plans = await this.#planned();
        return { detail: (await this.#parts.isRestored(await this.#plan())) ? "was restored before" : await this.#parts.restore(plans) };
      }
      case "apply-logs":
        return { detail: await this.#parts.applyLogs(await this.#plan()) };
      case "verify":
        return checked(await this.#parts.verify(await this.#plan()));
      case "connectivity":
        return checked(await this.#parts.connectivity(await this.#plan()));
      case "resume":
        return { detail: `in use from now on: ${this.#parts.place}` };
    }
  }

  async #plan(): Promise<Plan> {
    return must((await this.#planned())[0], "a plan");
  }

  async #planned(): Promise<readonly Plan[]> {
    const identified = this.#steps.findLast(({ step, outcome }) => step === "identify" && outcome === "done");
    this.#plans ??= await this.#parts.plan(identified?.facts ?? null);
    return this.#plans;
  }
}

function checked(checks: readonly DrillCheckResult[]): StepResult {
  const passed = checks.filter(({ outcome }) => outcome === "pass").length;
  return { detail: `${passed} of ${checks.length} checks passed`, checks, facts: { checks } };
}
