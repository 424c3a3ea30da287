import { conditionOf } from "./alert-conditions.ts";
import type {
  AccessFact,
  AlertAssessment,
  AlertCondition,
  CapacityFact,
  CopyFact,
  EvidenceFact,
  ExpiringFact,
  LockFact,
  PolicyFindingFact,
  SystemAlertFacts,
} from "./alert-facts.ts";

const DAY_MS = 86_400_000;
/** Refused calls from which on somebody seems to try. They are counted in windows of 15 minutes, and the count comes at the end of one. */
const MANY_REFUSED = { calls: 10, withinMs: 20 * 60_000 } as const;
/** What happened once is shown this long: long enough to be read, and acknowledged by those who are on duty. */
const SHOWN_MS = { refused: 3_600_000, changed: DAY_MS } as const;

/** What is wrong and is not about one source. */
export function assessSystem(facts: SystemAlertFacts, now: Date): AlertAssessment {
  return {
    conditions: [
      ...(facts.schedulerOnTime ? [] : [conditionOf({ kind: "scheduler_stopped", title: "the scheduler does not run on time" })]),
      ...(facts.configurationProblem === null
        ? []
        : [conditionOf({ kind: "configuration_not_taken_up", title: "changed files of inventory or policies are not in force", detail: facts.configurationProblem })]),
      ...facts.channels.flatMap(({ name, failingSince, error }) =>
        failingSince === null
          ? []
          : [conditionOf({ kind: "channel_failed", subject: name, title: `alerts cannot be delivered through ${name}`, detail: error, since: failingSince })],
      ),
      ...facts.findings.map(aboutFinding),
      ...facts.expiring.flatMap((one) => aboutExpiry(one, now)),
      ...facts.capacity.flatMap((one) => aboutCapacity(one, now)),
      ...facts.locks.flatMap((one) => aboutLocks(one, now)),
      ...aboutAccess(facts.access, now),
      ...facts.evidence.flatMap(aboutEvidence),
    ],
    undecided: new Set(),
  };
}

function aboutFinding({ severity, place, message, sources }: PolicyFindingFact): AlertCondition {
  const kind = severity === "infeasible" ? "policy_infeasible" : "policy_warning";
  return conditionOf({ kind, subject: `${place} ${message}`, title: `${place}: ${message}`, detail: `sources: ${sources.join(", ")}` });
}

function aboutEvidence({ route, failingSince, error, diverged }: EvidenceFact): AlertCondition[] {
  if (failingSince === null) return [];
  const since = { detail: error, since: failingSince };
  if (route === "timestamps") return [conditionOf({ kind: "evidence_unstamped", title: "evidence gets no time stamp", ...since })];
  if (diverged) return [conditionOf({ kind: "evidence_diverged", title: "the second place of evidence does not agree with this host", ...since })];
  return [conditionOf({ kind: "evidence_behind", title: "evidence does not get to its second place", ...since })];
}

function aboutExpiry({ what, expiresAt }: ExpiringFact, now: Date): AlertCondition[] {
  const leftMs = Date.parse(expiresAt) - now.getTime();
  const detail = `at ${expiresAt}`;
  // What ended long ago is missed by nobody.
  if (leftMs < -7 * DAY_MS) return [];
  if (leftMs <= 0) return [conditionOf({ kind: "expired", subject: what, title: `${what} has expired`, detail, since: expiresAt })];
  if (leftMs <= 7 * DAY_MS) return [conditionOf({ kind: "expires_within_7_days", subject: what, title: `${what} expires within 7 days`, detail })];
  return leftMs <= 30 * DAY_MS ? [conditionOf({ kind: "expires_within_30_days", subject: what, title: `${what} expires within 30 days`, detail })] : [];
}

/** A lock that nobody renews is as long as retention asks for until its margin is used up: half of that is time to act. */
function aboutLocks({ source, repository, renewedAt, since, marginSeconds }: LockFact, now: Date): AlertCondition[] {
  const last = renewedAt ?? since;
  if (now.getTime() - Date.parse(last) < (marginSeconds * 1000) / 2) return [];
  const until = new Date(Date.parse(last) + marginSeconds * 1000).toISOString();
  const detail = `${renewedAt === null ? "never" : `last at ${renewedAt}`}; from ${until} on some may end too soon`;
  return [conditionOf({ kind: "locks_not_renewed", source, repository, title: `locks of ${source} in ${repository} are not made longer`, detail })];
}

/** Warned of twice as long ahead as the week that is promised: a projection is not exact. Less than this is nothing for a day of WAL. */
const FILLING_MS = 14 * DAY_MS;
const NEARLY_NOTHING_BYTES = 256 * 2 ** 20;

function aboutCapacity({ repository, freeBytes, fullAt }: CapacityFact, now: Date): AlertCondition[] {
  const leftMs = fullAt === null ? Number.POSITIVE_INFINITY : Date.parse(fullAt) - now.getTime();
  const free = freeBytes === null ? "" : `${Math.floor(freeBytes / 2 ** 20)} MiB free`;
  const detail = [free, fullAt === null ? "" : `full by ${fullAt} (an estimate)`].filter((text) => text !== "").join(", ");
  if (leftMs <= DAY_MS || (freeBytes !== null && freeBytes < NEARLY_NOTHING_BYTES))
    return [conditionOf({ kind: "repository_nearly_full", repository, title: `the repository ${repository} is nearly full`, detail })];
  return leftMs <= FILLING_MS ? [conditionOf({ kind: "repository_filling", repository, title: `the repository ${repository} will be full within two weeks`, detail })] : [];
}

/** A refused call is one alert however often it is tried; many of them are another, and worse. Every change is one of its own. */
function aboutAccess(access: readonly AccessFact[], now: Date): AlertCondition[] {
  const recent = (kind: AccessFact["kind"], withinMs: number): AccessFact[] => access.filter((one) => one.kind === kind && now.getTime() - Date.parse(one.at) <= withinMs);
  const refused = recent("refused", SHOWN_MS.refused);
  const rush = recent("refused", MANY_REFUSED.withinMs);
  const last = refused.at(-1);
  const found = recent("changed", SHOWN_MS.changed).map(({ at, text }) => conditionOf({ kind: "access_changed", subject: `${at} ${text}`, title: text, since: at }));
  if (last !== undefined)
    found.push(
      conditionOf({ kind: "refused", title: "calls of the API were refused", detail: `${callsOf(refused)} within an hour, the last: ${last.text}`, since: refused[0]?.at ?? null }),
    );
  if (callsOf(rush) >= MANY_REFUSED.calls)
    found.push(conditionOf({ kind: "many_refused", title: "many calls of the API are refused", detail: `${callsOf(rush)} within 20 minutes`, since: rush[0]?.at ?? null }));
  return found;
}

function callsOf(access: readonly AccessFact[]): number {
  return access.reduce((sum, { count }) => sum + count, 0);
}

/** A source as it was judged, with what was seen of its copies. */
export interface JudgedSource {
  readonly copies: readonly CopyFact[];
  readonly assessment: AlertAssessment;
}

/** Everything together. Where nobody can read a repository, that is one alert, and not one for each source that has a copy there. */
export function assessAll(sources: readonly JudgedSource[], system: AlertAssessment): AlertAssessment {
  const copies = sources.flatMap((source) => source.copies);
  const seen = new Set(copies.filter(({ sight }) => sight === "observed" || sight === "server_unknown").map(({ repository }) => repository));
  const unreachable = new Set(copies.filter(({ sight, repository }) => sight === "unseen" && !seen.has(repository)).map(({ repository }) => repository));
  const isSaidOnce = ({ kind, repository }: AlertCondition): boolean => kind === "copy_unobserved" && repository !== null && unreachable.has(repository);
  const assessments = [...sources.map(({ assessment }) => assessment), system];
  return {
    conditions: [
      ...[...unreachable].map((repository) => conditionOf({ kind: "repository_unreachable", repository, title: `the repository ${repository} cannot be read` })),
      ...assessments.flatMap(({ conditions }) => conditions.filter((condition) => !isSaidOnce(condition))),
    ],
    undecided: new Set(assessments.flatMap(({ undecided }) => [...undecided])),
  };
}
