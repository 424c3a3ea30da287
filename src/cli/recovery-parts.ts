import { createInterface } from "node:readline/promises";
import { STEP_TITLES } from "../domain/recovery-steps.ts";
import type { RecoveryStep } from "../domain/recovery-steps.ts";
import { parseRestoreTarget } from "../domain/restore-target.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError, must } from "../errors.ts";
import type { OperationContext } from "../operations/context.ts";
import type { RecoveryParts } from "../operations/recover/recover.ts";
import type { Reading } from "./action.ts";

/** What the steps of a recovery do for one kind of source. What is the same for all kinds is added to it. */
export type PartsOfKind<Plan> = Omit<RecoveryParts<Plan>, "confirm">;

export function parseTarget(to: string): RestoreTarget {
  const target = parseRestoreTarget(to);
  if (typeof target === "string") throw new HoldfastError("HF-TARGET", target, { hint: "for example --to 2026-11-21T16:44:54Z, or latest" });
  return target;
}

/** As the source has it, by its address. Both cannot run beside each other on one machine: --port says another. */
export async function portOfSource(reading: Reading): Promise<number> {
  const address = await must(reading.app, "an installation")
    .target(must(reading.config, "a source"))
    .then(
      ({ url }) => url,
      () => "",
    );
  return Number(/[?&]port=(\d+)/.exec(address)?.[1] ?? /^[a-z]+:\/\/[^/?]*:(\d+)(?:[/?]|$)/.exec(address)?.[1] ?? 5432);
}

export async function confirmStep(step: RecoveryStep, about: string, { signal }: OperationContext): Promise<void> {
  const hint = `what was done so far is on record: go on with 'holdfast recover --resume --yes'`;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new HoldfastError("HF-USAGE", `the step '${step}' (${STEP_TITLES[step]}) wants to be confirmed, and there is no terminal`, { hint });
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await reader.question(`${about}\nnext: ${STEP_TITLES[step]}. Go on? [yes/no]: `, { signal })).trim();
    if (answer !== "yes" && answer !== "y") throw new HoldfastError("HF-USAGE", `the step '${step}' was not confirmed`, { hint });
  } finally {
    reader.close();
  }
}
