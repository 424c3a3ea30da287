import { ALERT_KINDS } from "./alert-kinds.ts";
import type { AlertKind } from "./alert-kinds.ts";
import type { AlertAssessment, AlertCondition, CopyFact, DrillFact, MissedFact, RunFact, SourceAlertFacts } from "./alert-facts.ts";
import { counted } from "./control-wording.ts";
import { formatDuration } from "./duration.ts";

/** From here on an objective counts as nearly used up: the example of a threshold in the table of severities. */
const NEAR_SHARE = 0.8;
/** Every source is looked at every 15 s at most; four minutes without a look are no delay any more. */
const STALE_AFTER_SECONDS = 240;

export interface Draft {
  readonly kind: AlertKind;
  readonly source?: string;
  readonly repository?: string;
  /** What else distinguishes it from others of its kind: a type of backup, a name. */
  readonly subject?: string;
  readonly title: string;
  readonly detail?: string | null;
  readonly since?: string | null;
}

/** An alert of a kind, with the severity and the advice of the table. */
export function conditionOf({ kind, source, repository, subject, title, detail, since }: Draft): AlertCondition {
  const { severity, whatToDo } = ALERT_KINDS[kind];
  return {
    key: alertKey(kind, source, repository, subject),
    kind,
    severity,
    source: source ?? null,
    repository: repository ?? null,
    title,
    detail: detail ?? null,
    whatToDo: filledIn(whatToDo, source, repository),
    since: since ?? null,
  };
}

/** Advice names commands as they are to be typed. */
function filledIn(advice: string, source: string | undefined, repository: string | undefined): string {
  const named = source === undefined ? advice : advice.replaceAll("SOURCE", source);
  return repository === undefined ? named : named.replaceAll("NAME", repository);
}

function alertKey(kind: AlertKind, source?: string, repository?: string, subject?: string): string {
  return [kind, source ?? "", repository ?? "", subject ?? ""].join("/").replace(/\/+$/, "");
}

/** What is wrong with one source. */
export function assessSource(facts: SourceAlertFacts, now: Date): AlertAssessment {
  const copies = facts.copies.map((copy) => assessCopy(facts, copy));
  const isTriedAgain = facts.lastDrill !== null && drillIsTriedAgain(facts, facts.lastDrill, now);
  return {
    conditions: [
      ...aboutSight(facts, now),
      ...copies.flatMap(({ conditions }) => conditions),
      ...aboutBackups(facts),
      ...facts.lastRuns.flatMap((run) => aboutRun(facts.name, run)),
      ...facts.missed.map((missed) => aboutMissed(facts.name, missed)),
      ...(facts.lastDrill === null || isTriedAgain ? [] : aboutDrill(facts, facts.lastDrill)),
      ...aboutProof(facts),
      ...aboutCommits(facts),
    ],
    undecided: new Set([
      ...copies.flatMap(({ undecided }) => undecided),
      ...(facts.commits === null ? [alertKey("commits_wait", facts.name)] : []),
      ...leftByDrill(facts.lastDrill, isTriedAgain).map((kind) => alertKey(kind, facts.name)),
    ]),
  };
}

function aboutSight({ name, seenAt, copies }: SourceAlertFacts, now: Date): AlertCondition[] {
  const found: AlertCondition[] = [];
  if (copies.some(({ sight }) => sight === "server_unknown")) found.push(conditionOf({ kind: "source_unreachable", source: name, title: `the server of ${name} does not answer` }));
  if (seenAt !== null && now.getTime() - Date.parse(seenAt) > STALE_AFTER_SECONDS * 1000)
    found.push(conditionOf({ kind: "observation_stale", source: name, title: `${name} was not looked at for more than ${formatDuration(STALE_AFTER_SECONDS)}`, since: seenAt }));
  return found;
}

function assessCopy({ name, objectives: { rpoSeconds } }: SourceAlertFacts, copy: CopyFact): { conditions: AlertCondition[]; undecided: string[] } {
  const { repository, sight, objectiveApplies, exposureSeconds, gaps } = copy;
  const at = { source: name, repository };
  const keysOf = (...kinds: AlertKind[]): string[] => kinds.map((kind) => alertKey(kind, name, repository));
  const conditions: AlertCondition[] = [];
  if (gaps > 0) conditions.push(conditionOf({ kind: "wal_gap", ...at, title: `gap in the WAL of ${name} in ${repository}`, detail: counted(gaps, "gap") }));
  if (sight === "unseen" || (sight === "observed" && objectiveApplies && exposureSeconds === null))
    conditions.push(conditionOf({ kind: "copy_unobserved", ...at, title: `it is not known how far the copy of ${name} in ${repository} reaches` }));
  const ofWhatIsThere = sight === "unseen" ? keysOf("wal_gap", "backup_damaged") : [];
  if (!objectiveApplies) return { conditions, undecided: ofWhatIsThere };
  if (exposureSeconds === null) return { conditions, undecided: [...ofWhatIsThere, ...keysOf("rpo_breached", "rpo_near")] };
  const detail = `${Math.round(exposureSeconds)} s of ${rpoSeconds} s`;
  if (exposureSeconds > rpoSeconds)
    conditions.push(conditionOf({ kind: "rpo_breached", ...at, title: `the copy of ${name} in ${repository} does not hold its RPO of ${formatDuration(rpoSeconds)}`, detail }));
  else if (exposureSeconds >= NEAR_SHARE * rpoSeconds)
    conditions.push(conditionOf({ kind: "rpo_near", ...at, title: `the copy of ${name} in ${repository} is near its RPO of ${formatDuration(rpoSeconds)}`, detail }));
  return { conditions, undecided: ofWhatIsThere };
}

function aboutBackups({ name, backups, copies, walLostAt }: SourceAlertFacts): AlertCondition[] {
  if (backups === null) return [];
  const found: AlertCondition[] = [];
  // Where a repository could not be read, what is in it is not known to be nothing.
  if (backups.length === 0 && copies.every(({ sight }) => sight !== "unseen")) found.push(conditionOf({ kind: "no_backup", source: name, title: `there is no backup of ${name}` }));
  const damaged = Map.groupBy(
    backups.flatMap(({ id, damagedIn }) => damagedIn.map((repository) => ({ id, repository }))),
    ({ repository }) => repository,
  );
  for (const [repository, of] of damaged) {
    const detail = firstOf(of.map(({ id }) => id));
    found.push(conditionOf({ kind: "backup_damaged", source: name, repository, title: `damaged backup of ${name} in ${repository}`, detail }));
  }
  for (const { id, type, startedAt, unusualSize } of newestOfEachType(backups))
    if (unusualSize !== null)
      found.push(
        conditionOf({
          kind: "backup_size_unusual",
          source: name,
          subject: type,
          title: `the newest ${type} backup of ${name} has an unusual size`,
          detail: `${id}: ${unusualSize}`,
          since: startedAt,
        }),
      );
  for (const backup of newestOfEachType(backups))
    if (backup.corruptPages > 0)
      found.push(
        conditionOf({
          kind: "source_corrupt",
          source: name,
          subject: backup.type,
          title: `the newest ${backup.type} backup of ${name} holds corrupt pages of the database`,
          detail: `${counted(backup.corruptPages, "page")} in ${backup.id}`,
          since: backup.startedAt,
        }),
      );
  if (walLostAt !== null && !backups.some(({ startedAt }) => Date.parse(startedAt) > Date.parse(walLostAt)))
    found.push(conditionOf({ kind: "wal_lost", source: name, title: `the server of ${name} no longer has WAL that was not stored`, since: walLostAt }));
  return found;
}

function newestOfEachType<T extends { readonly type: string; readonly startedAt: string }>(backups: readonly T[]): T[] {
  const newest = new Map<string, T>();
  for (const backup of backups) if (backup.startedAt >= (newest.get(backup.type)?.startedAt ?? "")) newest.set(backup.type, backup);
  return [...newest.values()];
}

function aboutRun(source: string, run: RunFact): AlertCondition[] {
  const { operation, type, outcome, reason, endedAt, notIn, damage, failedHooks } = run;
  // A drill is judged by its verdict.
  if (operation === "drill" && outcome !== "interrupted") return [];
  const subject = type === null ? operation : `${type} ${operation}`;
  const of = { source, subject, since: endedAt };
  const found = [...damage].map(([repository, objects]) => {
    const title = `verification found damage of ${source} in ${repository}`;
    return conditionOf({ kind: "repository_damaged", source, repository, title, detail: `${counted(objects, "object")} damaged or missing`, since: endedAt });
  });
  if (notIn.length > 0)
    found.push(
      ...notIn.map((repository) => conditionOf({ kind: "copy_failed", ...of, repository, title: `the newest ${subject} of ${source} is not in ${repository}`, detail: reason })),
    );
  else if ((outcome === "failed" && damage.size === 0) || outcome === "interrupted")
    found.push(conditionOf({ kind: "run_failed", ...of, title: `the newest ${subject} of ${source} ${outcome === "failed" ? "failed" : "was interrupted"}`, detail: reason }));
  if (failedHooks.length > 0)
    found.push(conditionOf({ kind: "hook_failed", ...of, title: `a hook failed after the newest ${subject} of ${source}`, detail: failedHooks.join("; ") }));
  return found;
}

function aboutMissed(source: string, { operation, type, slots, slot }: MissedFact): AlertCondition {
  const subject = type === null ? operation : `${type} ${operation}`;
  return conditionOf({
    kind: "runs_missed",
    source,
    subject,
    title: `${subject} of ${source} was missed, and has not succeeded since`,
    detail: counted(slots, "slot"),
    since: slot,
  });
}

/** What a drill decides by its result, and so only one that came to a result. */
const DECIDED_BY_RESULT = ["drill_failed", "rto_breached", "rto_near"] as const;
/** How much longer than its objective a drill may be under way, and for how long it may wait for its turn, before nobody believes in it any more. */
const RTO_TIMES = 2;
const TURN_SECONDS = 3600;

/** Whether a drill that came to no result is about to be tried again, or is being: what the machine lacked may be there then. */
function drillIsTriedAgain({ objectives: { rtoSeconds } }: SourceAlertFacts, { verdict, nextTryAt }: DrillFact, now: Date): boolean {
  return verdict === "inconclusive" && nextTryAt !== null && now.getTime() < Date.parse(nextTryAt) + (RTO_TIMES * rtoSeconds + TURN_SECONDS) * 1000;
}

/** What was found before stands until there is a result; and while a drill is about to be tried again, so does that there was none. */
function leftByDrill(last: DrillFact | null, isTriedAgain: boolean): AlertKind[] {
  if (last?.verdict !== "inconclusive") return [];
  return isTriedAgain ? ["drill_inconclusive", ...DECIDED_BY_RESULT] : [...DECIDED_BY_RESULT];
}

function aboutDrill({ name, objectives: { rtoSeconds } }: SourceAlertFacts, { verdict, rtoActualSeconds, reason, endedAt, attempt }: DrillFact): AlertCondition[] {
  const of = { source: name, since: endedAt };
  const tried = attempt > 1 ? `, tried ${attempt} times` : "";
  if (verdict === "inconclusive") return [conditionOf({ kind: "drill_inconclusive", ...of, title: `the last drill of ${name} came to no result${tried}`, detail: reason })];
  const found =
    verdict === "pass" || verdict === "pass_with_warnings" ? [] : [conditionOf({ kind: "drill_failed", ...of, title: `the last drill of ${name} failed`, detail: reason })];
  if (rtoActualSeconds === null) return found;
  const detail = `${Math.round(rtoActualSeconds)} s of ${rtoSeconds} s`;
  if (rtoActualSeconds > rtoSeconds)
    found.push(conditionOf({ kind: "rto_breached", ...of, title: `the last drill of ${name} took longer than its RTO of ${formatDuration(rtoSeconds)}`, detail }));
  else if (rtoActualSeconds >= NEAR_SHARE * rtoSeconds)
    found.push(conditionOf({ kind: "rto_near", ...of, title: `the last drill of ${name} was near its RTO of ${formatDuration(rtoSeconds)}`, detail }));
  return found;
}

function aboutProof({ name, unprovenSince }: SourceAlertFacts): AlertCondition[] {
  return unprovenSince === null ? [] : [conditionOf({ kind: "never_proven", source: name, title: `recovery of ${name} was never proven`, since: unprovenSince })];
}

/** What was committed is durable in a part a second later, in a bucket five: what waits this long waits in vain. */
const COMMITS_WAIT_SECONDS = 20;

/** Commits hang while nobody is there to say that they are durable; and where somebody is, and cannot store them. */
function aboutCommits({ name, commits, copies }: SourceAlertFacts): AlertCondition[] {
  if (commits?.waitForUs !== true) return [];
  const nearest = copies.map(({ exposureSeconds }) => exposureSeconds).filter((seconds) => seconds !== null);
  const isStuck = commits.streaming && nearest.length > 0 && Math.min(...nearest) > COMMITS_WAIT_SECONDS;
  if (commits.streaming && !isStuck) return [];
  const detail = commits.streaming ? "the stream runs and cannot store what it gets" : "the stream is not connected";
  return [conditionOf({ kind: "commits_wait", source: name, title: `commits of ${name} wait for its WAL stream`, detail })];
}

/** How many names a text lists. */
const MOST_NAMED = 5;

function firstOf(names: readonly string[]): string {
  return names.length <= MOST_NAMED ? names.join(", ") : `${names.slice(0, MOST_NAMED).join(", ")} and ${names.length - MOST_NAMED} more`;
}
