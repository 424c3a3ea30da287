import { HoldfastError } from "../errors.ts";

/** A place in a file, counted from 1, as editors count. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One thing wrong in a configuration file. Never quotes a value from it: a value may be a secret in the wrong place. */
export interface Problem extends Place {
  readonly message: string;
  readonly hint: string | null;
}

/** More are not shown: they are rarely read, and often follow from the first. */
const MAX_SHOWN = 50;

/** `file:line:column: message`, which editors and terminals turn into links, with the hint on a line of its own. */
export function formatProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, MAX_SHOWN).map(formatProblem);
  const rest = problems.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join("\n");
}

function formatProblem({ file, line, column, message, hint }: Problem): string {
  return `${file}:${line}:${column}: ${message}${hint === null ? "" : `\n  hint: ${hint}`}`;
}

/** The problems as one error, for whoever cannot go on without the file. */
export function configError(problems: readonly Problem[]): HoldfastError {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  return new HoldfastError("HF-CONFIG", `the configuration has ${count}\n${formatProblems(problems)}`, {
    hint: "correct the lines above; nothing was touched",
    facts: { problems },
  });
}

/** By file in the order in which they were read, then by place. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map((problem) => problem.file))];
  return problems.toSorted((a, b) => (a.file === b.file ? byPlace(a, b) : files.indexOf(a.file) - files.indexOf(b.file)));
}

/** The order of places within one file. */
export function byPlace(a: Place, b: Place): number {
  return a.line === b.line ? a.column - b.column : a.line - b.line;
}
