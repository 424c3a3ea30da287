import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { simulate } from "../domain/simulate.ts";
import { DEFAULT_ASSUMPTIONS } from "../domain/simulation-model.ts";
import type { Assumptions } from "../domain/simulation-model.ts";
import { parseTime, toDate } from "../domain/timestamp.ts";
import { HoldfastError } from "../errors.ts";
import { sizeField } from "../policy/fields.ts";
import { newCommand, perform } from "./action.ts";
import { describeSimulations } from "./policy-calendar.ts";
import type { PolicySimulation } from "./policy-calendar.ts";
import { loadSubjects, withSubject } from "./policy-subjects.ts";
import type { PolicySubject, SubjectOptions } from "./policy-subjects.ts";

interface SimulateOptions extends SubjectOptions {
  readonly days: number;
  readonly from?: Date;
  readonly databaseSize?: number;
  readonly dailyGrowth?: number;
  readonly dailyChange?: number;
  readonly compression?: number;
  readonly dailyWal?: number;
  readonly backupSpeed?: number;
  readonly restoreSpeed?: number;
  readonly replaySpeed?: number;
  readonly allowInfeasible?: boolean;
}

const DAY_MS = 86_400_000;

/** Ten years; retention that speaks of more is not proved by watching it. */
const MAX_DAYS = 3660;

export function simulateCommand(): Command {
  const command = newCommand(
    "simulate",
    "play a policy through, day by day: what runs, what is there, what would not hold",
    "holdfast policy simulate policies/guide.yaml --days 400",
  );
  return withSubject(command)
    .addOption(new Option("--days <n>", "how many days").argParser(parseDays).default(400))
    .addOption(new Option("--from <date>", "first day, such as 2027-01-01, in UTC (default: today)").argParser(parseDay))
    .addOption(sizeOption("--database-size <size>", "on the first day", "100GB"))
    .addOption(sizeOption("--daily-growth <size>", "what is added to it in a day", "none"))
    .addOption(new Option("--daily-change <percent>", "how much of its pages changes in a day (default, assumed: 2%)").argParser(parsePercent))
    .addOption(new Option("--compression <ratio>", "bytes of the database for one that is stored (default, assumed: 3)").argParser(parseRatio))
    .addOption(sizeOption("--daily-wal <size>", "WAL written in a day", "4GB"))
    .addOption(sizeOption("--backup-speed <size>", "read in a second", "100MB"))
    .addOption(sizeOption("--restore-speed <size>", "restored in a second", "100MB"))
    .addOption(sizeOption("--replay-speed <size>", "WAL replayed in a second", "50MB"))
    .option("--allow-infeasible", "exit 0 also where an objective cannot be held")
    .action(async (file: string | undefined, options: SimulateOptions) =>
      perform(options, async ({ output, context }) => {
        const subjects = await loadSubjects(file, options);
        const from = options.from ?? new Date(Math.floor(context.clock.now().getTime() / DAY_MS) * DAY_MS);
        const simulations = subjects.map((subject) => simulateSubject(subject, from, options));
        output.result({ simulations }, () => describeSimulations(simulations));
        return simulations.some(({ holds }) => !holds) && options.allowInfeasible !== true ? 1 : 0;
      }),
    );
}

function simulateSubject(subject: PolicySubject, from: Date, options: SimulateOptions): PolicySimulation {
  const { policy, objectives, findings, locks } = subject;
  const given = givenAssumptions(options);
  const assumptions = { ...DEFAULT_ASSUMPTIONS, ...given };
  const defaulted = (Object.keys(DEFAULT_ASSUMPTIONS) as (keyof Assumptions)[]).filter((key) => given[key] === undefined);
  const simulation = simulate({
    objectives,
    backups: [...policy.backups.values()],
    log: policy.log,
    heavy: policy.windows.heavy,
    blackout: policy.windows.blackout.map(({ window }) => window),
    verify: policy.verify?.schedule ?? null,
    drills: policy.drills?.schedule ?? null,
    expire: policy.expire.schedule,
    locks,
    from,
    days: options.days,
    assumptions,
    defaulted: new Set(defaulted),
  });
  if (simulation === null)
    throw new HoldfastError("HF-USAGE", `policy '${policy.name}' makes too many backups in ${options.days} days to go through them`, { hint: "simulate fewer --days" });
  const holds = ![...findings, ...simulation.problems].some(({ severity }) => severity === "infeasible" || severity === "breach");
  return {
    policy: policy.name,
    sources: subject.sources,
    from,
    until: new Date(from.getTime() + options.days * DAY_MS),
    objectives: { ...objectives, assumed: subject.assumedObjectives },
    assumptions: { ...assumptions, assumed: defaulted },
    log: policy.log === null ? null : { mode: policy.log.schedule.kind, intervalSeconds: policy.log.schedule.kind === "every" ? policy.log.schedule.seconds : null },
    holds,
    ...simulation,
    findings,
  };
}

function givenAssumptions(options: SimulateOptions): Partial<Assumptions> {
  const { databaseSize, dailyGrowth, dailyChange, compression, dailyWal, backupSpeed, restoreSpeed, replaySpeed } = options;
  return {
    ...(databaseSize === undefined ? {} : { databaseBytes: databaseSize }),
    ...(dailyGrowth === undefined ? {} : { dailyGrowthBytes: dailyGrowth }),
    ...(dailyChange === undefined ? {} : { dailyChange }),
    ...(compression === undefined ? {} : { compression }),
    ...(dailyWal === undefined ? {} : { dailyWalBytes: dailyWal }),
    ...(backupSpeed === undefined ? {} : { backupBytesPerSecond: backupSpeed }),
    ...(restoreSpeed === undefined ? {} : { restoreBytesPerSecond: restoreSpeed }),
    ...(replaySpeed === undefined ? {} : { replayBytesPerSecond: replaySpeed }),
  };
}

function sizeOption(flag: string, description: string, assumed: string): Option {
  return new Option(flag, `${description} (default, assumed: ${assumed})`).argParser((text) => {
    const size = sizeField.safeParse(text);
    if (!size.success) throw new InvalidArgumentError("It must be a size, such as 512MiB, 500GB or 2TB.");
    return size.data;
  });
}

function parseDays(text: string): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days < 1 || days > MAX_DAYS) throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_DAYS}.`);
  return days;
}

/** A day begins at 00:00 UTC. */
function parseDay(text: string): Date {
  const parsed = /^\d{4}-\d\d-\d\d$/.test(text) ? parseTime(`${text}T00:00Z`) : "not-a-time";
  if (typeof parsed !== "bigint" || toDate(parsed).toISOString().slice(0, 10) !== text) throw new InvalidArgumentError("It must be a day, such as 2027-01-01.");
  return toDate(parsed);
}

function parsePercent(text: string): number {
  const percent = /^\d{1,3}(\.\d{1,3})?%$/.test(text) ? Number(text.slice(0, -1)) : NaN;
  if (!(percent <= 100)) throw new InvalidArgumentError("It must be a percentage, such as 2% or 0.5%.");
  return percent / 100;
}

function parseRatio(text: string): number {
  const ratio = /^\d{1,3}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (ratio < 1) throw new InvalidArgumentError("It must be a number from 1, such as 2.5.");
  return ratio;
}
