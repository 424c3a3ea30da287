import { formatSeconds } from "../domain/duration.ts";
import cliProgress from "cli-progress";
import type { OperationContext, Progress } from "../operations/context.ts";
import type { Clock } from "../clock.ts";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";

/** How a command speaks: results on standard output, everything else on standard error. */
export interface Output {
  readonly json: boolean;
  /** The result: one JSON document, or what a person reads. */
  result(value: object, human: () => string): void;
  readonly notice: (text: string) => void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    result: (value, human) => void process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : human()),
    notice: (text) => void process.stderr.write(`${text}\n`),
  };
}

/** Ctrl-C and SIGTERM abort; a second one ends the process at once. */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    // oxlint-disable-next-line unicorn/no-process-exit -- asked for twice: whoever presses it again wants out now
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new HoldfastError("HF-INTERRUPTED", "stopped"));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return controller.signal;
}

/** A context whose progress is a bar on a terminal, and nothing in a pipe. */
export function createContext(clock: Clock, signal: AbortSignal, output: Output): OperationContext & { finish(): void } {
  const bar = process.stderr.isTTY
    ? new cliProgress.SingleBar({ stream: process.stderr, format: "{phase}  {done}  {rate}", hideCursor: true, clearOnComplete: true, noTTYOutput: false })
    : null;
  let started = false;
  let phase = { name: "", fromMs: 0 };
  const onProgress = ({ phase: name, doneBytes, totalBytes }: Progress): void => {
    if (bar === null) return;
    if (name !== phase.name) phase = { name, fromMs: clock.monotonicMs() };
    const seconds = Math.max(0.001, (clock.monotonicMs() - phase.fromMs) / 1000);
    const payload = {
      phase: name,
      done: totalBytes === null ? formatBytes(doneBytes) : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${remaining(doneBytes, totalBytes, seconds)} left`,
      rate: `${formatBytes(doneBytes / seconds)}/s`,
    };
    if (!started) bar.start(totalBytes ?? 1, 0, payload);
    started = true;
    bar.update(0, payload);
  };
  return { clock, signal, onProgress, onNotice: (text) => output.notice(`note: ${text}`), finish: () => bar?.stop() };
}

function remaining(done: number, total: number, seconds: number): string {
  return done === 0 ? "?" : formatSeconds(((total - done) / done) * seconds);
}

/** Of SQLite: the database cannot grow, or its shared memory cannot. */
const SQLITE_OUT_OF_SPACE: readonly unknown[] = [13, 4874];

/** What nobody nearer to it has said of a file that could not be written. Repositories and targets say it themselves. */
function isOutOfSpace(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT" || (error instanceof Error && "errcode" in error && SQLITE_OUT_OF_SPACE.includes(error.errcode));
}

/** Writes an error as people (two lines) or scripts (one document) read it, and returns the exit code. */
export function reportError(error: unknown, output: Output): number {
  const known =
    error instanceof HoldfastError
      ? error
      : isOutOfSpace(error)
        ? new HoldfastError("HF-SPACE", `no space left on this machine: ${messageOf(error)}`, { hint: "free space where the state folder is", cause: error })
        : new HoldfastError("HF-BUG", messageOf(error), { hint: "this is a bug in holdfast; please report it with the stack above", cause: error });
  if (known.code === "HF-BUG" && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  if (output.json) process.stdout.write(`${JSON.stringify({ error: { code: known.code, message: known.message, hint: known.hint, facts: known.facts } }, null, 2)}\n`);
  process.stderr.write(`error[${known.code}]: ${known.message}\n${known.hint === null ? "" : `hint: ${known.hint}\n`}`);
  return known.exitCode;
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** A flat document for people: a line for each of its values. */
export function plainLines(view: object): string {
  return Object.entries(view)
    .map(([name, value]) => `${name.padEnd(18)} ${String(value ?? "unknown")}\n`)
    .join("");
}
