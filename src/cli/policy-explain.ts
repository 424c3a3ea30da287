import type { Command } from "commander";
import { formatDuration } from "../domain/duration.ts";
import { canHoldRpo, explainPolicy } from "../domain/explain.ts";
import type { ExplainedCopy, ExplainedRun, Explanation } from "../domain/explain.ts";
import type { Window } from "../domain/window.ts";
import type { Origin } from "../policy/inheritance.ts";
import { RPO_SECONDS, RTO_SECONDS } from "../policy/load.ts";
import { DATA_CLASSES, TIERS } from "../policy/types.ts";
import { newCommand, perform } from "./action.ts";
import { loadSubjects, withSubject } from "./policy-subjects.ts";
import type { PolicySubject, SubjectOptions } from "./policy-subjects.ts";

interface ExplainOptions extends SubjectOptions {
  readonly allowInfeasible?: boolean;
}

interface PolicyExplanation extends Explanation {
  readonly policy: string;
  readonly sources: readonly string[];
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number; readonly assumed: readonly string[] };
  readonly windows: PolicySubject["policy"]["windows"];
  /** Which of all recovery point objectives the policy can hold: `barely` where the time between log backups is all there is. */
  readonly dataClasses: readonly { readonly dataClass: string; readonly rpoSeconds: number; readonly held: "yes" | "barely" | "no" }[];
  /** Which of all recovery time objectives its own recovery-time budgets allow. */
  readonly tiers: readonly { readonly tier: string; readonly rtoSeconds: number; readonly held: "yes" | "no" | null }[];
  readonly findings: PolicySubject["findings"];
  /** Up to so much later than its slot scheduled work other than the log begins. */
  readonly jitterSeconds: number;
  readonly appliesTo: PolicySubject["policy"]["appliesTo"];
  /** Whether a change that weakens it waits for a second person. */
  readonly changes: PolicySubject["policy"]["changes"];
  readonly origins: PolicySubject["origins"];
}

export function explainCommand(): Command {
  return withSubject(newCommand("explain", "in words: what runs when, what is kept where, and which objectives that can hold", "holdfast policy explain policies/guide.yaml"))
    .option("--allow-infeasible", "exit 0 also where an objective cannot be held")
    .action(async (file: string | undefined, options: ExplainOptions) =>
      perform(options, async ({ output, context }) => {
        const subjects = await loadSubjects(file, options);
        const policies = subjects.map((subject) => explainSubject(subject, context.clock.now()));
        output.result({ policies }, () => policies.map(describe).join("\n\n"));
        return policies.some(({ findings }) => findings.some(({ severity }) => severity === "infeasible")) && options.allowInfeasible !== true ? 1 : 0;
      }),
    );
}

function explainSubject({ policy, sources, objectives, assumedObjectives, findings, origins, locks }: PolicySubject, now: Date): PolicyExplanation {
  const input = { objectives, backups: [...policy.backups.values()], log: policy.log, locks };
  const explanation = explainPolicy({ ...input, verify: policy.verify?.schedule ?? null, drills: policy.drills?.schedule ?? null, expire: policy.expire.schedule, now });
  const slowest = explanation.slowestBudgetSeconds;
  return {
    policy: policy.name,
    sources,
    objectives: { ...objectives, assumed: assumedObjectives },
    ...explanation,
    windows: policy.windows,
    dataClasses: DATA_CLASSES.map((dataClass) => ({ dataClass, rpoSeconds: RPO_SECONDS[dataClass], held: canHoldRpo(input, RPO_SECONDS[dataClass]) })),
    tiers: TIERS.map((tier) => ({ tier, rtoSeconds: RTO_SECONDS[tier], held: slowest === null ? null : slowest <= RTO_SECONDS[tier] ? "yes" : "no" })),
    findings,
    jitterSeconds: policy.jitterSeconds,
    appliesTo: policy.appliesTo,
    changes: policy.changes,
    origins,
  };
}

function describe(explained: PolicyExplanation): string {
  const { policy, sources, objectives, runs, windows, copies, findings } = explained;
  const objective = (name: "rto" | "rpo", seconds: number): string => `${name} ${formatDuration(seconds)}${objectives.assumed.includes(name) ? " (assumed: the strictest)" : ""}`;
  return [
    `policy ${policy}${sources.length === 0 ? "" : ` (${sources.join(", ")})`}: ${objective("rto", objectives.rtoSeconds)}, ${objective("rpo", objectives.rpoSeconds)}`,
    "",
    ...runs.flatMap(describeRun),
    ...(windows.heavy.length === 0 ? [] : [`full and incremental backups begin within ${windows.heavy.map(zoned).join(", ")} only, and finish when they do`]),
    ...windows.blackout.map(({ window, reason }) => `no backup begins in ${zoned(window)}${reason === null ? "" : ` (${reason})`}; the log goes on`),
    ...(explained.jitterSeconds === 0
      ? []
      : [`each begins up to ${formatDuration(explained.jitterSeconds)} later than that, always the same for one source and time; the log does not wait`]),
    ...(explained.changes.approval === "none" ? [] : ["a change that weakens this policy is not in force until a second person approves it"]),
    "",
    ...copies.flatMap((copy) => [describeCopy(copy, objectives.rpoSeconds), ...describeLock(copy)]),
    "",
    `recovery point objectives: ${explained.dataClasses.map(({ dataClass, rpoSeconds, held }) => `${dataClass} ${formatDuration(rpoSeconds)} ${HELD[held]}`).join(", ")}`,
    `recovery time objectives, by the policy's own budgets: ${explained.tiers.map(({ tier, rtoSeconds, held }) => `${tier} ${formatDuration(rtoSeconds)} ${held === null ? "unknown" : HELD[held]}`).join(", ")}`,
    ...describeOrigins(explained.origins),
    ...(findings.length === 0
      ? []
      : ["", ...findings.map(({ file, line, column, severity, message, hint }) => `${file}:${line}:${column}: ${severity}: ${message}\n  hint: ${hint}`)]),
    "",
  ].join("\n");
}

/** Windows are in UTC unless they name their zone. */
function zoned(window: Window): string {
  return /[A-Za-z]$/.test(window) && !window.endsWith("Z") ? window : `${window} UTC`;
}

/** What each file says of a policy that extends others. */
function describeOrigins(origins: readonly Origin[]): string[] {
  const byPolicy = Map.groupBy(origins, ({ policy }) => policy);
  return origins.length === 0 ? [] : ["", ...[...byPolicy].map(([policy, parts]) => `from ${policy}: ${parts.map(({ key, line }) => `${key} (line ${line})`).join(", ")}`)];
}

const HELD = { yes: "held", barely: "barely", no: "not held" } as const;

function describeRun({ type, when, next, superseded, kept, repositories, recoveryTimeBudgetSeconds }: ExplainedRun): string[] {
  const aside = superseded === null || superseded === 0 ? "" : `; a stronger backup takes its place ${superseded} times in the next 92 days`;
  const places = repositories.length === 0 ? "" : ` in ${repositories.join(" and ")}`;
  return [
    `${type}: ${when}${aside}`,
    ...(kept === null ? [] : [`  kept ${kept}${places}`]),
    ...(recoveryTimeBudgetSeconds === null ? [] : [`  may take ${formatDuration(recoveryTimeBudgetSeconds)} to recover from`]),
    ...(next.length === 0 ? [] : [`  next ${next.map((at) => `${at.toISOString().slice(0, 16)}Z`).join(", ")}`]),
  ];
}

function describeLock({ lock }: ExplainedCopy): string[] {
  if (lock === null) return [];
  const { backups, walSeconds, mode, marginSeconds } = lock;
  const times = [...backups.map(({ type, seconds }) => `${type} ${formatDuration(seconds)}`), ...(walSeconds === null ? [] : [`WAL ${formatDuration(walSeconds)}`])];
  return [`  nobody can delete what is in it (${mode}) for ${times.join(", ")}: as long as it is kept, and ${formatDuration(marginSeconds)} more; only then does expiry take it`];
}

function describeCopy({ repository, log, lossSeconds, holdsRpo, windowSeconds }: ExplainedCopy, rpoSeconds: number): string {
  const loss = log === "streamed" ? "some seconds" : lossSeconds === null ? "everything since the last backup" : formatDuration(lossSeconds);
  const window =
    windowSeconds === null
      ? "only the ends of backups can be brought back"
      : `any time of the last ${formatDuration(windowSeconds)} can be brought back, and the ends of older backups`;
  return `the copy in '${repository}' loses up to ${loss} (${holdsRpo ? "within" : "not within"} ${formatDuration(rpoSeconds)}); ${window}`;
}
