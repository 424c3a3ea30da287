import type { CopyExposure, DrillCounts, ReportFigures, SourceReport, WorkCounts } from "../domain/compliance.ts";
import { RULES } from "../domain/control-map.ts";
import { counted } from "../domain/control-wording.ts";
import { exposureFigure } from "./exposure-figure.ts";
import { html, NOTHING } from "./html.ts";
import type { Html, HtmlValue } from "./html.ts";
import { bytes, count, duration, NONE, share, tally, time, UNKNOWN } from "./report-format.ts";
import { facts, objectiveBadge, outcomeBadge, statusBadge, table, tile, yesNoBadge } from "./report-parts.ts";

/** The chapter of one source. */
export function sourceChapter(source: SourceReport, { cover }: Pick<ReportFigures, "cover">): Html {
  return html`<section class="source">
    <h2>${source.name} ${statusBadge(source.status)}</h2>
    ${facts([
      ["Tier", source.tier],
      ["Data class", source.dataClass],
      ["Policy", source.policy],
      ["System identifier", source.systemIdentifier ?? UNKNOWN],
      ["Repositories last seen", time(source.seenAt, html`never`)],
    ])}
    ${tiles(source)} ${rulesTable(source)}
    <h3>Recovery point: exposure of each copy</h3>
    ${source.exposure.map((copy) => copyFigure(source.name, copy, cover.measuredUntil))} ${exposureTable(source)} ${restatedTable(source)} ${breachTable(source)}
    <h3>Backups</h3>
    ${workTable("Backups of the period", source.backups, "no backup is due by the policy, and none is on record")}
    ${workTable("Other work of the period", source.otherWork, "none is on record")}
    <h3>Recovery time: drills</h3>
    ${drillFacts(source.drills)} ${recoveryTable(source)}
    <h3>Verification</h3>
    ${verificationTable(source)} ${verifiedCopies(source)} ${verifiedPieces(source)} ${gapTable(source)}
  </section>`;
}

function tiles({ recoveryPoint, recoveryTime, exposure, drills, objectives }: SourceReport): Html {
  const worst = exposure.filter(({ objectiveApplies }) => objectiveApplies).flatMap((copy) => (copy.worst === null ? [] : [copy.worst.seconds]));
  const worstSeconds = worst.length === 0 ? null : Math.max(...worst);
  return html`<div class="tiles">
    ${tile("Recovery point", objectiveBadge(recoveryPoint), html`worst exposure ${duration(worstSeconds)}, objective ${duration(objectives.rpoSeconds)}`)}
    ${tile("Recovery time", objectiveBadge(recoveryTime.verdict), html`longest recovery ${duration(recoveryTime.maxSeconds)}, objective ${duration(objectives.rtoSeconds)}`)}
    ${tile("Drills", drills.run === 0 ? "none" : html`${count(drills.passed)} of ${count(drills.run)} passed`, lastDrill(drills))}
  </div>`;
}

function lastDrill({ last }: DrillCounts): Html {
  return last === null ? html`recovery is unproven for the period` : html`last ${time(last.at)}: ${outcomeBadge(last.verdict)}`;
}

function rulesTable({ rules }: SourceReport): Html {
  return table({
    caption: "What the records show",
    columns: ["Rule", "Status", "Records#", "Because"],
    rows: rules.map(({ rule, status, rows, reason }) => [RULES[rule], statusBadge(status), count(rows), reason]),
    empty: "no rule was evaluated",
  });
}

function copyFigure(source: string, copy: CopyExposure, measuredUntil: string): Html {
  const note = copy.objectiveApplies ? objectiveBadge(copy.verdict) : html`<span class="none">not asked to hold the objective by itself</span>`;
  const figure = copy.samples === 0 ? html`<p class="empty">Exposure of this copy was not observed in the period.</p>` : exposureFigure(source, copy, measuredUntil);
  return html`<div class="copy">
    <h4>${copy.repository} ${note}</h4>
    ${figure}
  </div>`;
}

function exposureTable({ exposure }: SourceReport): Html {
  return table({
    caption: "Exposure over the period",
    columns: ["Copy", "Worst#", "At", "Within objective#", "Beyond#", "Unobserved#", "Breaches#"],
    rows: exposure.map((copy) => [
      copy.repository,
      duration(copy.worst?.seconds ?? null),
      time(copy.worst?.at ?? null, UNKNOWN),
      share(copy.withinObjectiveShare, "down"),
      share(copy.beyondObjectiveShare, "up"),
      share(copy.unobservedShare, "up"),
      copy.samples === 0 ? UNKNOWN : count(copy.breaches.length),
    ]),
    empty: "no copy is named by the policy",
  });
}

function restatedTable({ exposure }: SourceReport): Html {
  const all = exposure.flatMap(({ restatements }) => restatements);
  if (all.length === 0) return NOTHING;
  return table({
    caption: "Restated: what was measured then turned out to be wrong, and the figures are as they are known now",
    columns: ["Copy", "From", "To", "Known since", "Missing WAL"],
    rows: all.map(({ repository, from, until, knownAt, timeline, startLsn, endLsn }) => [
      repository,
      time(from),
      time(until),
      time(knownAt),
      `timeline ${timeline}, ${startLsn} to ${endLsn}`,
    ]),
    empty: "none",
  });
}

/** A page is to be read; the rest is in the JSON. */
const MOST_BREACHES = 200;

function breachTable({ exposure }: SourceReport): Html {
  const all = exposure.flatMap(({ repository, breaches }) => breaches.map((breach) => ({ repository, ...breach })));
  if (all.length === 0) return NOTHING;
  const ends = { recovered: "seen within the objective", unobserved: "no longer observed", open: "still open" } as const;
  return table({
    caption: all.length > MOST_BREACHES ? `Breaches of the recovery point objective (the first ${MOST_BREACHES} of ${all.length})` : "Breaches of the recovery point objective",
    columns: ["Copy", "From", "To", "Peak#", "Ended"],
    rows: all.slice(0, MOST_BREACHES).map(({ repository, from, to, peakSeconds, end }) => [repository, time(from), time(to), duration(peakSeconds), ends[end]]),
    empty: "none",
  });
}

function workTable(caption: string, work: readonly WorkCounts[], empty: string): Html {
  return table({
    caption,
    columns: ["Work", "Due#", "Succeeded#", "Failed#", "Missed#", "Superseded#", "Skipped#", "Interrupted#", "Cancelled#", "By hand#", "Unaccounted#", "Last success"],
    rows: work.map((row) => [
      row.operation === "backup" ? (row.type ?? row.operation) : row.operation,
      count(row.due),
      count(row.succeeded),
      tally(row.failed),
      tally(row.missed),
      tally(row.superseded),
      tally(row.skipped),
      tally(row.interrupted),
      tally(row.cancelled),
      tally(row.unscheduled),
      row.unaccounted === null ? html`<span class="none">no schedule</span>` : tally(row.unaccounted),
      time(row.lastSuccessAt),
    ]),
    empty,
  });
}

function drillFacts(drills: DrillCounts): Html {
  const bound = drills.failureProbabilityUpperBound95;
  const proof: HtmlValue =
    bound !== null
      ? html`below ${share(bound, "up")} (95 % confidence, from ${drills.run} drills without a failure, as far as they were independent)`
      : drills.run === 0
        ? "no drill, no bound"
        : `no bound: ${drills.failed} of ${drills.run} failed`;
  return facts([
    ["Due", count(drills.due)],
    ["Run", count(drills.run)],
    ["Passed", html`${count(drills.passed)}${drills.passedWithWarnings === 0 ? "" : ` (${drills.passedWithWarnings} with warnings)`}`],
    ["Failed", count(drills.failed)],
    ["Inconclusive", count(drills.inconclusive)],
    ["Missed", count(drills.missed)],
    ["Without a verdict", count(drills.withoutVerdict)],
    ["Unaccounted", drills.unaccounted === null ? NONE : count(drills.unaccounted)],
    ["Probability that a restore fails", proof],
  ]);
}

function recoveryTable({ recoveryTime: { actual } }: SourceReport): Html {
  return table({
    caption: "Measured recoveries, from declaration to last check",
    columns: ["At", "Took#", "Objective#", "Verdict", "Drill"],
    rows: actual.map(({ run, at, seconds, objectiveSeconds, verdict }) => [
      time(at),
      duration(seconds),
      duration(objectiveSeconds),
      outcomeBadge(verdict),
      html`<code>${run}</code>`,
    ]),
    empty: "no recovery was measured in the period",
  });
}

/** Of a year of daily ones the newest, and before them those that found something. */
const MOST_VERIFICATIONS = 60;

function verificationTable({ verification: { runs } }: SourceReport): Html {
  const newest = new Set(runs.slice(-MOST_VERIFICATIONS));
  const shown = [...runs.filter((run) => run.ok !== true && !newest.has(run)).slice(-MOST_VERIFICATIONS), ...newest];
  return table({
    caption:
      shown.length < runs.length
        ? `Verifications of the period (the newest ${newest.size} of ${runs.length}, and what did not find all good; the JSON has every one)`
        : "Verifications of the period",
    columns: ["At", "Result", "Tier", "Copies", "Objects#", "Read#", "Damaged#"],
    rows: shown.map((run) => [
      time(run.at),
      yesNoBadge(run.ok, { yes: "good", no: "damage", none: "no result" }),
      run.tier ?? UNKNOWN,
      run.repositories.length === 0 ? UNKNOWN : run.repositories.join(", "),
      count(run.objects),
      bytes(run.bytes),
      count(run.damaged),
    ]),
    empty: "none came to an end in the period",
  });
}

/** Copies that are good are counted; each that is not, or that nobody looked at, is named. */
function verifiedCopies({ verification: { copies, neverVerified } }: SourceReport): Html {
  const there = copies.filter(({ present }) => present !== false);
  const good = [
    ...Map.groupBy(
      there.filter(({ ok }) => ok),
      ({ repository, tier }) => JSON.stringify([repository, tier]),
    ).values(),
  ].map((group): HtmlValue[] => {
    const times = group.map(({ at }) => at).toSorted();
    return [group[0]?.repository ?? "", counted(group.length, "backup"), yesNoBadge(true, COPY_WORDS), group[0]?.tier ?? "", time(times[0] ?? null), time(times.at(-1) ?? null)];
  });
  const damaged = there
    .filter(({ ok }) => !ok)
    .map(({ repository, backup, tier, at }) => [repository, html`<code>${backup}</code>`, yesNoBadge(false, COPY_WORDS), tier, time(at), time(at)]);
  const unseen = (neverVerified ?? []).map(({ repository, backup }) => [repository, html`<code>${backup}</code>`, yesNoBadge(null, COPY_WORDS), NONE, NONE, html`never`]);
  return table({
    caption: "Copies as last verified",
    columns: ["Copy", "Backup", "Result", "Tier", "First", "Last"],
    rows: [...damaged, ...unseen, ...good],
    empty: neverVerified === null ? "the repositories were never looked at" : "there is no backup",
  });
}

/** Piece by piece (containers of backups, segments of WAL), as the scrub and all other verification left it. */
function verifiedPieces({ verification: { pieces } }: SourceReport): HtmlValue {
  if (pieces.length === 0) return "";
  return table({
    caption: "Verified piece by piece",
    columns: ["Copy", "Pieces", "Verified", "Bytes", "Verified", "WAL segments", "Verified", "Damaged", "All since"],
    rows: pieces.map((each) => [
      each.repository,
      count(each.objects),
      count(each.verifiedObjects),
      bytes(each.bytes),
      bytes(each.verifiedBytes),
      count(each.walSegments),
      count(each.verifiedWalSegments),
      count(each.damagedObjects),
      time(each.oldestVerifiedAt),
    ]),
    empty: "",
  });
}

const COPY_WORDS = { yes: "good", no: "damaged", none: "never verified" };

function gapTable({ gaps }: SourceReport): Html {
  return table({
    caption: "Gaps in the WAL",
    columns: ["Copy", "Timeline#", "From", "To", "First segment missing", "Last segment missing"],
    rows: (gaps ?? []).map((gap) => [gap.repository, count(gap.timeline), gap.startLsn, gap.endLsn, html`<code>${gap.firstSegment}</code>`, html`<code>${gap.lastSegment}</code>`]),
    empty: gaps === null ? "unknown: the repositories were never looked at" : "none when last seen",
  });
}
