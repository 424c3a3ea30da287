import { missedSinceSuccess, newestEnded, newestEndedDrill, verificationsSinceDamage, walLostAt } from "../catalog/alert-queries.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { newestRun } from "../catalog/compliance-queries.ts";
import { firstSuccess } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import { readSnapshot } from "../catalog/snapshots.ts";
import type { BackupFact, CopyFact, CopySight, DrillFact, RunFact, SourceAlertFacts } from "../domain/alert-facts.ts";
import { copiesOf, copiesWithObjective, repositoriesSeen } from "../domain/compliance.ts";
import type { ReportSource } from "../domain/compliance.ts";
import { retryAt } from "../domain/retry.ts";
import type { SourceInfo } from "../domain/source-info.ts";
import { reaches, VERIFY_TIERS } from "../domain/verify-tier.ts";

/** What the catalog knows of a source, as alerts are judged from it. */
export function readSourceFacts(catalog: Catalog, source: ReportSource): SourceAlertFacts {
  const { name, objectives } = source;
  const snapshot = readSnapshot(catalog, name);
  const kinds = kindsOf(source).map((kind) => ({ source: name, ...kind }));
  const damage = standingDamage(verificationsSinceDamage(catalog, name));
  const drill = newestEndedDrill(catalog, name);
  return {
    name,
    objectives,
    seenAt: snapshot?.at ?? null,
    backups: snapshot === null ? null : snapshot.info.backups.map(backupFact),
    copies: copiesOf(source).map((repository) => copyFact(source, repository, snapshot?.info ?? null)),
    lastRuns: kinds.flatMap((kind) => {
      const run = newestEnded(catalog, kind);
      return run === null ? [] : [runFact(run, kind.operation === "verify" ? damage : new Map())];
    }),
    missed: kinds.flatMap((kind) => {
      const missed = missedSinceSuccess(catalog, kind);
      return missed === null ? [] : [{ operation: kind.operation, type: kind.type, ...missed }];
    }),
    lastDrill: drill === null ? null : drillFact(drill),
    unprovenSince: source.policy.drills === null || hasPassed(catalog, name) ? null : (firstSuccess(catalog, name, "backup")?.toISOString() ?? null),
    commits: commitsFact(snapshot?.info ?? null),
    walLostAt: walLostAt(catalog, name),
  };
}

function commitsFact(info: SourceInfo | null): SourceAlertFacts["commits"] {
  const commits = info?.commits ?? null;
  return commits === null ? null : { waitForUs: commits.wait === "alone", streaming: commits.streaming };
}

function kindsOf({ policy }: ReportSource): { operation: string; type: string | null }[] {
  return [
    ...[...policy.backups.keys()].map((type) => ({ operation: "backup", type })),
    ...(policy.log === null || policy.log.schedule.kind === "stream" ? [] : [{ operation: "log", type: "log" }]),
    ...["verify", "expire", "drill"].map((operation) => ({ operation, type: null })),
  ];
}

function hasPassed(catalog: Catalog, source: string): boolean {
  return newestRun(catalog, { source, operation: "drill", type: null, outcome: "succeeded" }) !== null;
}

function backupFact({ id, type, startedAt, corruptPages, copies, sizeCheck }: SourceInfo["backups"][number]): BackupFact {
  return {
    id,
    type,
    startedAt,
    corruptPages,
    unusualSize: sizeCheck?.reason ?? null,
    damagedIn: copies.filter(({ state }) => state === "damaged").map(({ repository }) => repository),
  };
}

function copyFact(source: ReportSource, repository: string, info: SourceInfo | null): CopyFact {
  const exposure = info?.exposure.find((one) => one.repository === repository);
  return {
    repository,
    sight: sightOf(repository, info),
    objectiveApplies: copiesWithObjective(source).includes(repository),
    exposureSeconds: exposure?.seconds ?? null,
    gaps: info?.gaps.filter((gap) => gap.repository === repository).length ?? 0,
  };
}

/** A copy that was read is described, also where the server did not answer; one that could not be read is named without anything; and where there is none, nothing is. */
function sightOf(repository: string, info: SourceInfo | null): CopySight {
  const exposure = info?.exposure.find((one) => one.repository === repository);
  if (info === null || exposure === undefined) return "absent";
  if (exposure.observedAt !== null) return "observed";
  return repositoriesSeen(info).has(repository) ? "server_unknown" : "unseen";
}

function runFact(run: Run, damage: ReadonlyMap<string, number>): RunFact {
  const { operation, type, outcome, reason, startedAt, finishedAt, facts } = run;
  const copies = operation === "backup" ? listOf(facts["copies"]) : [];
  return {
    operation,
    type,
    outcome: outcome === "succeeded" || outcome === "interrupted" ? outcome : "failed",
    reason,
    endedAt: finishedAt ?? startedAt,
    notIn: copies.flatMap(({ repository, state }) => (state === "failed" && typeof repository === "string" ? [repository] : [])),
    damage,
    failedHooks: listOf(facts["hooks"]).flatMap(({ hook, ok, detail }) => (ok === false ? [`${String(hook)}: ${String(detail)}`] : [])),
  };
}

/** Facts come from other versions as well: what is no list of maps is none. */
function listOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter((one): one is Record<string, unknown> => typeof one === "object" && one !== null) : [];
}

/**
 * Objects that were found damaged and not found good since, by repository. `runs`: the verification that found damage, and those after it.
 * Good again is only what was verified whole, at least as deeply as when the damage was found.
 */
function standingDamage([found, ...later]: readonly Run[]): ReadonlyMap<string, number> {
  if (found === undefined) return new Map();
  const tier = tierOf(found);
  const objects = listOf(found.facts["damage"]).map(({ repository }) => String(repository));
  const isGoodAgain = (repository: string): boolean =>
    later.some((run) => run.facts["backup"] === null && reaches(tierOf(run), tier) && Array.isArray(run.facts["repositories"]) && run.facts["repositories"].includes(repository));
  const counts = new Map<string, number>();
  for (const repository of objects) if (!isGoodAgain(repository)) counts.set(repository, (counts.get(repository) ?? 0) + 1);
  return counts;
}

function tierOf({ facts }: Run): (typeof VERIFY_TIERS)[number] {
  return VERIFY_TIERS.find((known) => known === facts["tier"]) ?? "present";
}

function drillFact({ facts, reason, startedAt, finishedAt, attempt, trigger }: Run): DrillFact {
  const { verdict, rtoActualSeconds } = facts;
  const endedAt = finishedAt ?? startedAt;
  return {
    verdict: typeof verdict === "string" ? verdict : null,
    rtoActualSeconds: typeof rtoActualSeconds === "number" ? rtoActualSeconds : null,
    reason,
    endedAt,
    attempt,
    nextTryAt: trigger === "schedule" ? (retryAt(attempt, new Date(endedAt))?.toISOString() ?? null) : null,
  };
}
