import { formatSeconds } from "../../domain/duration.ts";
import { readSnapshot } from "../../catalog/snapshots.ts";
import { pageOfRuns } from "../../catalog/compliance-queries.ts";
import { exposureOf } from "../../compliance/copy-exposure.ts";
import { currentStatus } from "../../compliance/current-status.ts";
import type { CurrentStatus } from "../../compliance/current-status.ts";
import { html, NOTHING } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { predictRecovery } from "../../compliance/predicted-recovery.ts";
import { bytes, count, duration, NONE, share, time, UNKNOWN } from "../../compliance/report-format.ts";
import { facts, objectiveBadge, table } from "../../compliance/report-parts.ts";
import type { CurrentCopy } from "../../domain/control-now.ts";
import { counted } from "../../domain/control-wording.ts";
import type { RecoveryEstimate } from "../../domain/recovery-estimate.ts";
import type { SourceInfo } from "../../domain/source-info.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { chainChart } from "../charts/chain-chart.ts";
import type { Span } from "../charts/chart.ts";
import { exposureChart } from "../charts/exposure-chart.ts";
import { markLegend, recoveryChart } from "../charts/recovery-chart.ts";
import { againstObjective, ago, answers, estimate, lockTime, reasonList, spanOf, verdictBadge } from "../figures.ts";
import { goingOn } from "../going-on.ts";
import { linkTo, pager, pathTo, withQuery } from "../links.ts";
import type { Page } from "../page.ts";
import { runTable } from "../run-table.ts";
import { pageNumber, sourceOf } from "../view.ts";
import type { PageQuery, View } from "../view.ts";

const MOST_RUNS = 10;
const CHAIN_BACKUPS = 24;
const BACKUPS_A_PAGE = 25;
const DAY_MS = 86_400_000;
/** A picture of less would be of seconds. */
const SHORTEST_SPAN_MS = 600_000;
const PERIODS: Readonly<Record<string, { readonly words: string; readonly days: number }>> = {
  "1d": { words: "24 hours", days: 1 },
  "7d": { words: "7 days", days: 7 },
  "30d": { words: "30 days", days: 30 },
};

export function sourcePage(view: View, params: PageQuery): Page {
  const source = sourceOf(view, params["name"] ?? "");
  const { catalog } = view.facts;
  const status = currentStatus(catalog, source, view.now);
  const info = readSnapshot(catalog, source.name)?.info ?? null;
  return {
    title: source.name,
    heading: html`${source.name} ${verdictBadge(status.verdict)}`,
    trail: [{ path: pathTo.overview, name: "Overview" }],
    live: html`${status.reasons.length === 0 ? NOTHING : reasonList(status.reasons)} ${fourAnswers(status, predictRecovery(catalog, source.name, info), view.now)}
    ${goingOn(view, source.name)} ${recoverySection(source.name, info, view)} ${exposureSection(source, view)} ${backupSection(source.name, info, view)}
    ${runSection(source.name, view)} ${about(source, status, info)}`,
  };
}

function fourAnswers(status: CurrentStatus, predicted: RecoveryEstimate | null, now: Date): Html {
  const { copies, recoverableTo, objectives, lastProvenAt, lastRtoSeconds, lastDrill } = status;
  const obliged = copies.filter(({ objectiveApplies }) => objectiveApplies);
  const worst = obliged.reduce<CurrentCopy | null>(
    (found, copy) => (found === null || (copy.exposureSeconds ?? Infinity) > (found.exposureSeconds ?? Infinity) ? copy : found),
    null,
  );
  return answers([
    { question: "Recoverable to", answer: ago(recoverableTo, now, "nothing to restore"), note: recoverableTo === null ? "no recovery point is known" : time(recoverableTo) },
    {
      question: "Exposure now",
      answer: againstObjective(worst?.exposureSeconds ?? null, objectives.rpoSeconds),
      note: worst === null ? "no copy has to hold it" : html`the copy in ${worst.repository}, ${ago(worst.sampledAt, now, "never looked at")}`,
    },
    {
      question: "Recovery would take",
      answer: estimate(predicted, objectives.rtoSeconds),
      note: predicted === null ? "run a drill" : `from ${counted(predicted.drills, "drill")}`,
    },
    {
      question: "Last proof",
      answer: ago(lastProvenAt, now, "never"),
      note:
        lastDrill === null
          ? "no drill came to an end"
          : html`the last drill:
            ${linkTo(pathTo.run(lastDrill.run), lastDrill.verdict?.replaceAll("_", " ") ?? lastDrill.outcome)}${lastRtoSeconds === null ? "" : `, ${formatSeconds(lastRtoSeconds)}`}`,
    },
  ]);
}

function recoverySection(name: string, info: SourceInfo | null, { now }: View): Html {
  if (info === null || info.backups.length + info.windows.length === 0)
    return html`<section>
      <h2>What can be brought back</h2>
      <p class="empty">${info === null ? "The repositories were not looked at yet." : "There is nothing in the repositories."}</p>
    </section>`;
  const begins = [...info.backups.map(({ startedAt }) => startedAt), ...info.windows.map(({ from }) => from)].map((at) => Date.parse(at));
  const span: Span = { from: new Date(Math.min(...begins, now.getTime() - SHORTEST_SPAN_MS)), to: now };
  return html`<section>
    <h2>What can be brought back</h2>
    <figure>${recoveryChart(name, info, span)}${markLegend()}</figure>
    ${table({
      caption: "Stretches in which any moment can be brought back",
      columns: ["Copy", "Stretch", "Timeline#", "From LSN", "To LSN"],
      rows: info.windows.map((window) => [
        window.systemIdentifier === undefined ? window.repository : html`${window.repository}, cluster <code>${window.systemIdentifier}</code>`,
        window.to === null ? html`from ${time(window.from)}` : spanOf(window.from, window.to),
        count(window.timeline),
        html`<code>${window.startLsn}</code>`,
        html`<code>${window.endLsn}</code>`,
      ]),
      empty: "none; each backup is a recovery point of its own",
    })}
    ${table({
      caption: "Gaps in the WAL",
      columns: ["Copy", "Timeline#", "From LSN", "To LSN", "First segment missing", "Last segment missing"],
      rows: info.gaps.map((gap) => [
        gap.repository,
        count(gap.timeline),
        html`<code>${gap.startLsn}</code>`,
        html`<code>${gap.endLsn}</code>`,
        html`<code>${gap.firstSegment}</code>`,
        html`<code>${gap.lastSegment}</code>`,
      ]),
      empty: "none",
    })}
  </section>`;
}

function exposureSection(source: SourceConfig, view: View): Html {
  const chosen = PERIODS[view.query["period"] ?? ""] === undefined ? "1d" : (view.query["period"] ?? "1d");
  const days = PERIODS[chosen]?.days ?? 1;
  const span = { from: new Date(view.now.getTime() - days * DAY_MS), to: view.now };
  const copies = exposureOf(view.facts.catalog, source, span);
  const path = pathTo.source(source.name);
  return html`<section>
    <h2>Exposure</h2>
    <nav class="choices" aria-label="Period of the exposure charts">
      ${Object.entries(PERIODS).map(([key, { words }]) => html`<a href="${withQuery(path, view.query, { period: key })}" ${key === chosen ? html`aria-current="true"` : ""}>${words}</a>`)}
    </nav>
    ${copies.map(
      (copy) =>
        html`<div class="copy">
          <h3>${copy.repository} ${copy.objectiveApplies ? objectiveBadge(copy.verdict) : NOTHING}</h3>
          ${copy.samples === 0 ? html`<p class="empty">Not observed in this period.</p>` : html`<figure>${exposureChart(source.name, copy, span)}</figure>`}
        </div>`,
    )}
    ${table({
      caption: "Over the period",
      columns: ["Copy", "Worst#", "Within objective#", "Beyond#", "Unobserved#", "Breaches#"],
      rows: copies.map((copy) => [
        copy.repository,
        duration(copy.worst?.seconds ?? null),
        share(copy.withinObjectiveShare, "down"),
        share(copy.beyondObjectiveShare, "up"),
        share(copy.unobservedShare, "up"),
        copy.samples === 0 ? UNKNOWN : count(copy.breaches.length),
      ]),
      empty: "no copy is named by the policy",
    })}
  </section>`;
}

function backupSection(name: string, info: SourceInfo | null, view: View): Html {
  const all = (info?.backups ?? []).toSorted((a, b) => b.startedAt.localeCompare(a.startedAt));
  const page = pageNumber(view);
  const shown = all.slice(page * BACKUPS_A_PAGE, (page + 1) * BACKUPS_A_PAGE);
  const hasLocks = all.some(({ copies }) => copies.some(({ lockedUntil }) => typeof lockedUntil === "string"));
  return html`<section>
    <h2>Backups</h2>
    ${all.length === 0 ? NOTHING : html`<figure>${chainChart(name, all.slice(0, CHAIN_BACKUPS))}</figure>`}
    ${table({
      caption: all.length === shown.length ? "All that there are, the newest first" : `${shown.length} of ${all.length}, the newest first`,
      columns: ["Backup", "Type", "Made from", "Finished", "Stored#", "Of#", "Took#", "Copies", ...(hasLocks ? ["Locked until"] : []), "Expires"],
      rows: shown.map((backup) => [
        linkTo(pathTo.backup(name, backup.id), html`<code>${backup.id}</code>`),
        backup.type,
        backup.parentId === null ? NONE : html`<code>${backup.parentId}</code>`,
        time(backup.finishedAt),
        bytes(backup.storedBytes),
        bytes(backup.sourceBytes),
        duration(backup.durationSeconds),
        backup.copies.map(({ repository, state }) => (state === "complete" ? repository : `${repository} (${state})`)).join(", "),
        ...(hasLocks ? [locks(backup, view.now)] : []),
        backup.heldBy.length > 0 && backup.expiresAt === null ? "held for dependents" : time(backup.expiresAt),
      ]),
      empty: "there is none",
    })}
    ${pager(pathTo.source(name), view.query, { page, hasMore: all.length > (page + 1) * BACKUPS_A_PAGE })}
  </section>`;
}

/** Until when nobody can delete it, copy by copy. */
function locks({ copies }: SourceInfo["backups"][number], now: Date): HtmlValue {
  const locked = copies.filter(({ lockedUntil }) => typeof lockedUntil === "string");
  return locked.length === 0
    ? NONE
    : locked.map(({ repository, lockedUntil = null }) => html`<div>${copies.length === 1 ? "" : `${repository}: `}${lockTime(lockedUntil, now)}</div>`);
}

function runSection(name: string, { facts: { catalog } }: View): Html {
  const runs = pageOfRuns(catalog, { sources: null, source: name, operation: null, outcome: null, from: null, to: null, limit: MOST_RUNS, offset: 0 });
  return html`<section>
    <h2>Runs</h2>
    ${runTable("The newest", runs, { withSource: false })}
    <p>
      ${linkTo(withQuery(pathTo.runs, {}, { source: name }), "All runs of this source")} · ${linkTo(withQuery(pathTo.drills, {}, { source: name }), "its drills")} ·
      ${linkTo(withQuery(pathTo.storage, {}, { source: name }), "its storage")}
    </p>
  </section>`;
}

function about(source: SourceConfig, { seenAt }: CurrentStatus, info: SourceInfo | null): Html {
  return html`<section>
    <h2>About it</h2>
    ${facts([
      ["Tier", source.tier],
      ["Data class", source.dataClass],
      ["Objectives", `RTO ${formatSeconds(source.objectives.rtoSeconds)}, RPO ${formatSeconds(source.objectives.rpoSeconds)}`],
      ["Policy", linkTo(`${pathTo.policies}#${source.policy.name}`, source.policy.name)],
      ["System identifier", info?.systemIdentifier ?? UNKNOWN],
      ...(info?.formerClusters ?? []).map(({ systemIdentifier, until }): [string, Html] => ["Cluster before", html`${systemIdentifier}, until ${time(until)}`]),
      ["Timeline", info?.timeline ?? UNKNOWN],
      ["Labels", labelsOf(source)],
      ["Last looked at", time(seenAt, UNKNOWN)],
    ])}
  </section>`;
}

function labelsOf({ labels }: SourceConfig): HtmlValue {
  const written = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return written.length === 0 ? NONE : written.join(", ");
}
