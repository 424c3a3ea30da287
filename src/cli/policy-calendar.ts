import { formatDuration } from "../domain/duration.ts";
import type { RunCounts, SimulatedDay, Simulation } from "../domain/simulate.ts";
import type { CopyDay } from "../domain/simulated-copy.ts";
import type { Assumptions } from "../domain/simulation-model.ts";
import type { SimulatedProblem } from "../domain/simulation-problems.ts";
import type { PolicyFinding } from "../policy/feasibility.ts";
import { formatBytes } from "./output.ts";
import { formatTable } from "./table.ts";

/** One policy under one pair of objectives, played through. */
export interface PolicySimulation extends Simulation {
  readonly policy: string;
  readonly sources: readonly string[];
  readonly from: Date;
  readonly until: Date;
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number; readonly assumed: readonly string[] };
  readonly assumptions: Assumptions & { readonly assumed: readonly (keyof Assumptions)[] };
  readonly log: { readonly mode: "stream" | "every" | "cron"; readonly intervalSeconds: number | null } | null;
  /** No objective and no promise of the policy is broken, as far as it does not rest on an assumption. */
  readonly holds: boolean;
  readonly findings: readonly Omit<PolicyFinding, "sources">[];
}

export function describeSimulations(simulations: readonly PolicySimulation[]): string {
  return simulations.map(describeSimulation).join("\n\n");
}

function describeSimulation(simulation: PolicySimulation): string {
  const { days, log } = simulation;
  const months = [...Map.groupBy(days, ({ date }) => date.slice(0, 7))];
  const whole = months.find(([, inMonth]) => inMonth[0]?.date.endsWith("-01") === true) ?? months[0];
  return [
    ...heading(simulation),
    "",
    "What runs, by month:",
    formatTable(RUN_HEAD, [...months.map(([month, inMonth]) => [month, ...runCells(totals(inMonth), log)]), ["all", ...runCells(simulation.runs, log)]]).trimEnd(),
    "",
    "What is there at the end of each month:",
    formatTable(
      COPY_HEAD,
      months.flatMap(([month, inMonth]) => copyRows(month, inMonth)),
    ).trimEnd(),
    ...(whole === undefined ? [] : ["", `${whole[0]}, day by day (F full, I incremental, D differential):`, calendar(whole[1])]),
    "",
    ...growth(days),
    "",
    ...verdict(simulation),
    "",
  ].join("\n");
}

function heading({ policy, sources, from, days, objectives, assumptions }: PolicySimulation): string[] {
  const objective = (name: "rto" | "rpo", seconds: number): string => `${name} ${formatDuration(seconds)}${objectives.assumed.includes(name) ? " (assumed)" : ""}`;
  const of = (key: keyof Assumptions, label: string, text: string): string => `${label} ${text}${assumptions.assumed.includes(key) ? " (assumed)" : ""}`;
  const model = [
    of("databaseBytes", "database", asGiven(assumptions.databaseBytes)),
    of("dailyGrowthBytes", "growth a day", asGiven(assumptions.dailyGrowthBytes)),
    of("dailyChange", "change a day", `${Number((assumptions.dailyChange * 100).toFixed(3))}%`),
    of("compression", "compression", String(assumptions.compression)),
    of("dailyWalBytes", "WAL a day", asGiven(assumptions.dailyWalBytes)),
    of("backupBytesPerSecond", "backup", `${asGiven(assumptions.backupBytesPerSecond)} a second`),
    of("restoreBytesPerSecond", "restore", `${asGiven(assumptions.restoreBytesPerSecond)} a second`),
    of("replayBytesPerSecond", "replay", `${asGiven(assumptions.replayBytesPerSecond)} a second`),
  ];
  return [
    `policy ${policy}${sources.length === 0 ? "" : ` (${sources.join(", ")})`}: ${days.length} days from ${day(from)}, ${objective("rto", objectives.rtoSeconds)}, ${objective("rpo", objectives.rpoSeconds)}`,
    ...model.map((line) => `  ${line}`),
  ];
}

const RUN_HEAD = ["month", "full", "incr", "diff", "superseded", "missed", "log", "verify", "drill", "expire"];

function runCells(runs: RunCounts, log: PolicySimulation["log"]): string[] {
  const logs = log?.mode === "stream" ? "stream" : String(runs.log);
  return [
    String(runs.full),
    String(runs.incremental),
    String(runs.differential),
    String(runs.superseded),
    String(runs.missed),
    logs,
    ...[runs.verify, runs.drill, runs.expire].map(String),
  ];
}

const COPY_HEAD = ["month", "copy", "full", "incr", "diff", "held", "longest chain", "backups", "WAL", "any time since", "oldest point"];

function copyRows(month: string, days: readonly SimulatedDay[]): string[][] {
  return (days.at(-1)?.repositories ?? []).map((copy) => [
    month,
    copy.repository,
    ...[copy.full, copy.incremental, copy.differential].map(String),
    `${copy.heldForDependents}${copy.lockedOnly === 0 ? "" : ` and ${copy.lockedOnly} locked`}`,
    String(copy.longestChain),
    formatBytes(copy.backupBytes),
    formatBytes(copy.walBytes),
    copy.recoverableFrom === null ? "-" : minute(copy.recoverableFrom),
    copy.oldestRecoveryPoint === null ? "-" : minute(copy.oldestRecoveryPoint),
  ]);
}

/** When each copy is at its largest, and where it stands at the end. */
function growth(days: readonly SimulatedDay[]): string[] {
  const stored = ({ backupBytes, walBytes }: CopyDay): number => backupBytes + walBytes;
  return (days.at(-1)?.repositories ?? []).map((last) => {
    const sizes = days.flatMap(({ date, repositories }) => repositories.filter(({ repository }) => repository === last.repository).map((copy) => ({ date, bytes: stored(copy) })));
    const largest = sizes.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    return `${last.repository} holds at most ${formatBytes(largest.bytes)} (${largest.date}), and ${formatBytes(stored(last))} at the end`;
  });
}

/** Weeks begin on Monday. */
function calendar(days: readonly SimulatedDay[]): string {
  const column = (date: string): number => (new Date(`${date}T00:00Z`).getUTCDay() + 6) % 7;
  const cells = [...Array.from({ length: column(days[0]?.date ?? "") }, () => ""), ...days.map(({ date, runs }) => `${Number(date.slice(8))} ${letters(runs)}`.trim())];
  const weeks = Array.from({ length: Math.ceil(cells.length / 7) }, (_, week) => Array.from({ length: 7 }, (_unused, i) => cells[week * 7 + i] ?? ""));
  return formatTable(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], weeks).trimEnd();
}

function letters({ full, incremental, differential }: RunCounts): string {
  const counted = (count: number, letter: string): string[] => (count === 0 ? [] : [count === 1 ? letter : `${count}${letter}`]);
  return [...counted(full, "F"), ...counted(incremental, "I"), ...counted(differential, "D")].join(" ");
}

function verdict({ problems, findings, holds }: PolicySimulation): string[] {
  const lines = problems.map(describeProblem);
  const placed = findings.map(({ file, line, column, severity, message, hint }) => `${file}:${line}:${column}: ${severity}: ${message}\n  hint: ${hint}`);
  return [
    holds ? "Nothing that was promised is broken, as far as the figures above are right." : "What goes wrong:",
    ...lines,
    ...(placed.length === 0 ? [] : ["", "In the policy:", ...placed]),
  ];
}

function describeProblem({ severity, message, hint, from, until, times, assumed }: SimulatedProblem): string {
  const when = times === 1 ? `${minute(from)} to ${minute(until)}` : `${times} times, ${minute(from)} to ${minute(until)}`;
  return `${severity}: ${message}${assumed ? ", with what is assumed" : ""} (${when})${hint === null ? "" : `\n  hint: ${hint}`}`;
}

function totals(days: readonly SimulatedDay[]): RunCounts {
  const of = (key: keyof RunCounts): number => days.reduce((sum, { runs }) => sum + runs[key], 0);
  return {
    full: of("full"),
    differential: of("differential"),
    incremental: of("incremental"),
    superseded: of("superseded"),
    missed: of("missed"),
    log: of("log"),
    verify: of("verify"),
    drill: of("drill"),
    expire: of("expire"),
  };
}

/** As the options take it: in thousands. */
function asGiven(bytes: number): string {
  const unit = (["TB", "GB", "MB", "KB"] as const).find((_, i) => bytes >= 1000 ** (4 - i));
  return unit === undefined ? `${bytes} B` : `${Number((bytes / 1000 ** (4 - ["TB", "GB", "MB", "KB"].indexOf(unit))).toFixed(2))} ${unit}`;
}

function minute(at: Date): string {
  return `${at.toISOString().slice(0, 16)}Z`;
}

function day(at: Date): string {
  return at.toISOString().slice(0, 10);
}
