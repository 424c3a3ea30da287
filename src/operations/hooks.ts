import path from "node:path";
import type { Clock } from "../clock.ts";
import { stopwatch } from "../clock.ts";
import { HoldfastError } from "../errors.ts";
import type { Hooks, Inventory } from "../policy/types.ts";
import { runProgram } from "../postgres/process.ts";

/** Programs of the policy, beside a backup. They get facts in their environment, and of ours nothing: no secret that was meant for Holdfast reaches them. */
export type HookName = Exclude<keyof Hooks, "timeoutSeconds">;

/** How a hook went, as it is on the record of the run. */
export interface HookResult {
  readonly hook: HookName;
  readonly ok: boolean;
  readonly detail: string;
  readonly seconds: number;
  /** The end of what it said. */
  readonly output: string;
}

export interface HookFacts {
  readonly source: string;
  readonly run: string;
  readonly type: string;
  readonly backupId?: string;
  readonly outcome?: "succeeded" | "failed" | "cancelled";
  readonly reason?: string;
}

/** So much of what a hook says is kept for ever. */
const MOST_OUTPUT_CHARACTERS = 2000;
/** What an environment takes, and a person reads. */
const MOST_REASON_CHARACTERS = 2000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface HookRun {
  readonly hooks: Hooks;
  readonly inventory: Pick<Inventory, "file">;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Runs one hook, in the folder of the inventory. Null: the policy has none. However it goes, it does not throw: what that means the caller decides. */
export async function runHook({ hooks, inventory, clock, signal }: HookRun, hook: HookName, facts: HookFacts): Promise<HookResult | null> {
  const [program, ...args] = hooks[hook];
  if (program === undefined) return null;
  const seconds = stopwatch(clock);
  const ended = (ok: boolean, detail: string, output = ""): HookResult => ({ hook, ok, detail, seconds: seconds(), output: readable(output) });
  try {
    const options = {
      timeoutMs: hooks.timeoutSeconds * 1000,
      cwd: path.dirname(inventory.file),
      cleanEnv: true,
      env: environmentOf(hook, facts),
      ...(signal === undefined ? {} : { signal }),
    };
    const { exitCode, stdout, stderr, timedOut } = await runProgram(program, args, options);
    if (timedOut) return ended(false, `took longer than ${hooks.timeoutSeconds} s`, stdout + stderr);
    return ended(exitCode === 0, exitCode === null ? "was ended, or said more than is kept" : `exit code ${exitCode}`, stdout + stderr);
  } catch (error) {
    if (error instanceof HoldfastError) return ended(false, error.message);
    throw error;
  }
}

function environmentOf(hook: HookName, { source, run, type, backupId, outcome, reason }: HookFacts): Record<string, string> {
  return {
    PATH,
    HOLDFAST_HOOK: hook,
    HOLDFAST_OPERATION: "backup",
    HOLDFAST_SOURCE: source,
    HOLDFAST_TYPE: type,
    HOLDFAST_RUN: run,
    ...(backupId === undefined ? {} : { HOLDFAST_BACKUP: backupId }),
    ...(outcome === undefined ? {} : { HOLDFAST_OUTCOME: outcome }),
    ...(reason === undefined ? {} : { HOLDFAST_REASON: reason.replaceAll("\0", "").slice(0, MOST_REASON_CHARACTERS) }),
  };
}

/** Its end, without what would do something to a terminal. */
function readable(output: string): string {
  return output.replaceAll(/(?![\n\t])\p{Cc}/gu, "").slice(-MOST_OUTPUT_CHARACTERS);
}

/** `afterBackup: exit code 1`. */
export function describeHook({ hook, detail, output }: HookResult): string {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  return `the hook ${hook} failed: ${detail}${last === "" ? "" : `: ${last}`}`;
}
