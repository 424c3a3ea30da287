import { HoldfastError } from "../errors.ts";
import { isOfOneCopy } from "./installation.ts";
import type { Installation } from "./installation.ts";
import type { WritableRepository } from "../repository/repository.ts";

/** A repository that something was not done in, and why. */
export interface NotReached {
  readonly repository: string;
  readonly code: string;
  readonly message: string;
}

export interface CopiesDone<T> {
  readonly results: readonly T[];
  readonly notReached: readonly NotReached[];
  /** What to end with: 0 where every copy was reached, else of the first error that weighs most. */
  readonly exitCode: number;
}

/**
 * Does something in one repository after the other: one that is away, or refuses, keeps nobody from the others. Rejects where it was done in none of them, and at once for what is not the fault of
 * one repository (a lease that is held, an interruption, a bug).
 */
export async function inEachCopy<T>(
  installation: Pick<Installation, "repository">,
  names: readonly string[],
  act: (repository: WritableRepository, name: string) => Promise<T>,
): Promise<CopiesDone<T>> {
  const results: T[] = [];
  const failures: { name: string; error: HoldfastError }[] = [];
  for (const name of names) {
    try {
      results.push(await act(await installation.repository(name), name));
    } catch (error) {
      if (!(error instanceof HoldfastError) || !(isOfOneCopy(error) || error.code === "HF-CONFIG")) throw error;
      failures.push({ name, error });
    }
  }
  const [first] = failures;
  if (results.length === 0 && first !== undefined) throw first.error;
  return {
    results,
    notReached: failures.map(({ name, error }) => ({ repository: name, code: error.code, message: error.message })),
    exitCode: exitCodeOf(failures.map(({ error }) => error)),
  };
}

/** Damage is an answer, and goes before what may work the next time. */
function exitCodeOf(errors: readonly HoldfastError[]): number {
  return (errors.find(({ code }) => code === "HF-DAMAGE") ?? errors[0])?.exitCode ?? 0;
}

/** In words, for the record; null: all were reached. */
export function describeNotReached(notReached: readonly NotReached[]): string | null {
  return notReached.length === 0 ? null : notReached.map(({ repository, code, message }) => `not done in ${repository}: ${code}: ${message}`).join("; ");
}
