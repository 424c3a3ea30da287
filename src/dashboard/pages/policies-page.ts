import { formatSeconds } from "../../domain/duration.ts";
import { basename } from "node:path";
import { html } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { duration, NONE, time } from "../../compliance/report-format.ts";
import { outcomeBadge, table } from "../../compliance/report-parts.ts";
import { explainPolicy } from "../../domain/explain.ts";
import type { ExplainedCopy, ExplainedRun } from "../../domain/explain.ts";
import type { PolicyFinding } from "../../policy/feasibility.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { linkTo, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import type { View } from "../view.ts";

/** The rules in force, what they mean, and which objectives they cannot hold as they are written. */
export function policiesPage(view: View): Page {
  const byPolicy = [...Map.groupBy(view.sources.values(), ({ policy }) => policy.name).values()];
  const findings = view.facts.findings.filter(({ sources }) => sources.some((name) => view.sources.has(name)));
  return {
    title: "Policies",
    live: html`${findingTable(findings)} ${byPolicy.map((users) => policySection(users, view.now))}`,
  };
}

function findingTable(findings: readonly PolicyFinding[]): Html {
  return html`<section>
    <h2>Feasibility</h2>
    ${table({
      caption: "Objectives that the policies do not hold as they are written",
      columns: ["Finding", "Where", "Because", "What would help", "Sources"],
      rows: findings.map(({ severity, file, line, message, hint, sources }) => [
        outcomeBadge(severity),
        html`<code>${basename(file)}:${line}</code>`,
        message,
        hint,
        namesOf(sources),
      ]),
      empty: "none: every objective can be held as the policies are written",
    })}
  </section>`;
}

/** So many are worth reading. */
const MOST_NAMES = 8;

function namesOf(names: readonly string[]): HtmlValue {
  const shown = names.slice(0, MOST_NAMES).map((name, index) => html`${index === 0 ? "" : ", "}${linkTo(pathTo.source(name), name)}`);
  return html`${shown}${names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ""}`;
}

/** Copies and losses by the strictest objectives of those that use it. */
function policySection(users: readonly SourceConfig[], now: Date): Html {
  const [first] = users;
  if (first === undefined) return html``;
  const { policy } = first;
  const objectives = {
    rpoSeconds: Math.min(...users.map((user) => user.objectives.rpoSeconds)),
    rtoSeconds: Math.min(...users.map((user) => user.objectives.rtoSeconds)),
  };
  const { runs, copies } = explainPolicy({
    objectives,
    backups: [...policy.backups.values()],
    log: policy.log,
    verify: policy.verify?.schedule ?? null,
    drills: policy.drills?.schedule ?? null,
    expire: policy.expire.schedule,
    now,
  });
  return html`<section id="${policy.name}">
    <h2>${policy.name}</h2>
    <p class="lead">
      Used by ${namesOf(users.map(({ name }) => name))}. The strictest objectives of these: RPO ${formatSeconds(objectives.rpoSeconds)}, RTO
      ${formatSeconds(objectives.rtoSeconds)}.
    </p>
    ${table({ caption: "What runs when, and is kept how long", columns: ["Work", "When", "Next", "Kept", "Copies", "Time budget#"], rows: runs.map(runRow), empty: "nothing" })}
    ${table({ caption: "What each copy holds by itself", columns: ["Copy", "Log", "Loses at worst#", "RPO", "Any moment of the last#"], rows: copies.map(copyRow), empty: "nothing is kept anywhere" })}
    ${
      policy.windows.heavy.length + policy.windows.blackout.length === 0
        ? ""
        : html`<p>
            ${policy.windows.heavy.length === 0 ? "" : `Full and incremental backups begin within ${policy.windows.heavy.join(", ")} UTC only.`}
            ${policy.windows.blackout.map(({ window, reason }) => `No backup begins in ${window} UTC${reason === null ? "" : ` (${reason})`}.`)}
          </p>`
    }
  </section>`;
}

function runRow({ type, when, next, kept, repositories, recoveryTimeBudgetSeconds }: ExplainedRun): HtmlValue[] {
  return [
    type,
    when,
    time(next[0]?.toISOString() ?? null),
    kept ?? NONE,
    repositories.length === 0 ? NONE : repositories.join(", "),
    recoveryTimeBudgetSeconds === null ? NONE : duration(recoveryTimeBudgetSeconds),
  ];
}

function copyRow({ repository, log, lossSeconds, holdsRpo, windowSeconds }: ExplainedCopy): HtmlValue[] {
  return [
    repository,
    log ?? "none",
    lossSeconds === null ? (log === "streamed" ? "as long as the stream lags" : NONE) : duration(lossSeconds),
    outcomeBadge(holdsRpo ? "can hold" : "cannot hold"),
    windowSeconds === null ? html`<span class="none">the ends of backups only</span>` : duration(windowSeconds),
  ];
}
