/**
 * Every error a person can meet, with the exit code scripts rely on (docs/errors.md lists the same codes; a test compares).
 * 1: the answer is no. 2: wrong use, nothing was touched. 3: the world is broken, try again. 4: refused to protect you. 70: our bug.
 */
const ERROR_EXIT_CODES = {
  "HF-DAMAGE": 1,
  "HF-NO-BACKUP": 1,
  "HF-TARGET-UNREACHABLE": 1,
  "HF-CHECK": 1,
  "HF-INFEASIBLE": 1,
  "HF-USAGE": 2,
  "HF-CONFIG": 2,
  "HF-KEY": 2,
  "HF-TARGET": 2,
  "HF-CONNECT": 3,
  "HF-SERVER": 3,
  "HF-SESSION-LOST": 3,
  "HF-STORAGE": 3,
  "HF-SPACE": 3,
  "HF-WAL": 3,
  "HF-BINARIES": 3,
  "HF-START": 3,
  "HF-SOURCE-CHANGED": 3,
  "HF-COPIES": 3,
  "HF-TIMEOUT": 3,
  "HF-HOOK": 3,
  "HF-OTHER-CLUSTER": 4,
  "HF-DIVERGED": 4,
  "HF-BUSY": 4,
  "HF-TARGET-NOT-EMPTY": 4,
  "HF-HELD": 4,
  "HF-LAST-KEY": 4,
  "HF-BUG": 70,
  "HF-INTERRUPTED": 130,
} as const;

export type ErrorCode = keyof typeof ERROR_EXIT_CODES;
export type Facts = Readonly<Record<string, unknown>>;

/** An error with a stable code, a sentence (lower case, no full stop), what to do about it, and the facts as fields. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: ErrorCode;
  readonly hint: string | null;
  readonly facts: Facts;

  constructor(code: ErrorCode, message: string, options: { hint?: string; facts?: Facts; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? null;
    this.facts = options.facts ?? {};
  }

  get exitCode(): number {
    return ERROR_EXIT_CODES[this.code];
  }
}

/** Bytes in a repository that are not what was written. Names the object, so that `verify` and `restore` can. */
export class DamageError extends HoldfastError {
  readonly object: string;
  readonly reason: string;
  readonly kind: "missing" | "damaged";

  constructor(object: string, reason: string, kind: "missing" | "damaged" = "damaged", cause?: unknown) {
    super("HF-DAMAGE", `${object} is ${kind}: ${reason}`, {
      hint: "run 'holdfast verify' to see what is hurt; restore from another copy or another backup",
      facts: { object, reason, kind },
      ...(cause === undefined ? {} : { cause }),
    });
    this.object = object;
    this.reason = reason;
    this.kind = kind;
  }
}

/** The value, or a bug of ours with a message: for what the code around it has already established. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new HoldfastError("HF-BUG", `expected ${what}`);
  return value;
}

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new HoldfastError("HF-BUG", `assertion failed: ${what}`);
}

/** The `code` of a Node or PostgreSQL error, if it has one. */
export function codeOf(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
