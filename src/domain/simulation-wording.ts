import { formatDuration } from "./duration.ts";
import type { SimulatedProblem, Tally } from "./simulation-problems.ts";

/** What was tallied, in words and in order. An objective that one copy does not hold is a warning while another copy holds it. */
export function describeProblems(tallies: readonly Tally[], copies: number): SimulatedProblem[] {
  const breaking = (kind: "rpo" | "rto"): number => new Set(tallies.filter(({ about }) => about.kind === kind).map(({ about }) => about.repository)).size;
  return tallies
    .map((tally) => {
      const { kind, severity } = tally.about;
      const elsewhere = (kind === "rpo" || kind === "rto") && breaking(kind) < copies;
      return describe(tally, severity === "breach" && elsewhere ? "warning" : severity);
    })
    .toSorted((a, b) => (a.severity === b.severity ? a.from.getTime() - b.from.getTime() : RANK[a.severity] - RANK[b.severity]));
}

const RANK = { breach: 0, warning: 1, note: 2 } as const;

function describe({ about, from, until, times, worstSeconds }: Tally, severity: SimulatedProblem["severity"]): SimulatedProblem {
  const told = { copy: `'${about.repository}'`, type: about.type ?? "all", worst: roughly(worstSeconds ?? 0), objective: formatDuration(about.objectiveSeconds ?? 0) };
  const [message, hint] = WORDS[about.kind](told);
  return { ...about, severity, from, until, times, worstSeconds, message, hint };
}

interface Told {
  /** In quotes. */
  readonly copy: string;
  readonly type: string;
  readonly worst: string;
  readonly objective: string;
}

const STREAM = "stream the log: log: { schedule: stream, … }";

/** Message and hint. */
const WORDS: Record<SimulatedProblem["kind"], (told: Told) => readonly [string, string | null]> = {
  unprotected: ({ copy }) => [`there is nothing in ${copy} until the first backup ends`, null],
  rpo: ({ copy, type, worst, objective }) =>
    type === "log"
      ? [`the copy in ${copy} loses up to ${worst} between log backups; the recovery point objective is ${objective}`, STREAM]
      : [`the copy in ${copy} has no log and loses up to ${worst} by itself; the recovery point objective is ${objective}`, `add ${copy} to the repositories of log`],
  rto: ({ copy, worst, objective }) => [
    `restoring from the copy in ${copy} and replaying its log takes up to ${worst}; the recovery time objective is ${objective}`,
    "back up more often, or restore faster; drills measure it",
  ],
  budget: ({ type, worst, objective }) => [
    `restoring a backup of type ${type} takes up to ${worst}, and its recovery-time budget is ${objective}`,
    "raise the budget, or restore faster; drills measure it",
  ],
  overrun: ({ type, worst }) => [`${type} backups end up to ${worst} after their window closes`, "widen the window, or back up faster"],
  late: ({ type, worst }) => [`${type} backups begin up to ${worst} after they are due: they wait for their window or for another backup`, "move the schedule into the window"],
  missed: ({ type }) => [`slots of ${type} backups pass while another backup runs or the window is closed`, "schedule them further apart, or within the window"],
  "full-instead": ({ type }) => [`${type} backups become full backups: no parent is in every repository they go to`, `send full backups wherever ${type} backups go`],
  never: ({ type }) => [`${type} backups never run: each falls due within the same hour as a stronger backup`, "choose another hour, or remove this type"],
  "held-for-dependents": ({ copy, type, worst }) => [
    `${type} backups stay in ${copy} up to ${worst} longer than their retention says, for the backups made from them`,
    "count their size in; nothing else changes",
  ],
  "single-points": ({ copy, worst }) => [
    `in ${copy} up to ${worst} lie between the oldest backup and the log that is kept: of that time only the ends of backups can be brought back`,
    "keep the log longer, where any moment of that time may be asked for",
  ],
  "window-short": ({ copy, worst, objective }) => [
    `any time of the last ${objective} should be in reach in ${copy}, and up to ${worst} of them are not`,
    "keep backups longer than the log, by the time from one backup to the next",
  ],
  "never-expires": ({ copy, type }) => [`${type} backups are in ${copy}, and no retention is about them there: they stay for ever`, `add ${copy} to the repositories of ${type}`],
  orphan: ({ copy, type }) => [`${type} backups in ${copy} cannot be restored: what they were made from is gone`, "report this: retention must never do it"],
};

const UNITS = [
  { unit: "d", size: 86_400, most: Infinity },
  { unit: "h", size: 3600, most: 24 },
  { unit: "m", size: 60, most: 60 },
  { unit: "s", size: 1, most: 60 },
] as const;

/** Two units are enough: `6d 23h`, `1h 7m`. */
function roughly(seconds: number): string {
  const counts = UNITS.map(({ unit, size, most }) => ({ unit, count: Math.floor(seconds / size) % most }));
  const first = counts.findIndex(({ count }) => count > 0);
  const shown = counts.slice(first, first + 2).filter(({ count }) => count > 0);
  return first === -1 ? "0s" : shown.map(({ unit, count }) => `${count}${unit}`).join(" ");
}
