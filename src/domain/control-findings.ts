import type { CopyExposure, EvidenceState, Finding, SourceReport, WorkCounts } from "./compliance.ts";
import { MOST_UNOBSERVED_SHARE, standingDamage } from "./control-rules.ts";
import { counted } from "./control-wording.ts";
import { formatDuration } from "./duration.ts";
import { beyondObjective } from "./exposure-series.ts";

/** All figures of a source; its status follows from what is found in them. */
type SourceFigures = Omit<SourceReport, "status">;

/** What an auditor would ask about one source, and an operator should have asked first. */
export function findingsOf(source: SourceFigures): Finding[] {
  return [
    ...[...source.backups, ...source.otherWork].flatMap((work) => aboutWork(source, work)),
    ...source.exposure.filter(({ objectiveApplies }) => objectiveApplies).flatMap((copy) => aboutExposure(source, copy)),
    ...aboutDrills(source),
    ...aboutRecoveryTime(source),
    ...aboutVerification(source),
    ...aboutGaps(source),
  ];
}

/** A record that lacks entries makes every figure doubtful. */
export function findingsOfRecord({ head, includedSequence, complete }: EvidenceState): Finding[] {
  if (complete !== false || head === null) return [];
  const detail = `the figures are made from entries up to ${includedSequence ?? 0}, and the evidence log has ${head.sequence}`;
  return [{ severity: "missing_evidence", kind: "record_incomplete", source: null, repository: null, at: null, detail, references: [head.writer] }];
}

type Draft = Pick<Finding, "severity" | "kind" | "detail"> & Partial<Pick<Finding, "repository" | "at" | "references">>;

function finding(source: SourceFigures, draft: Draft): Finding {
  return { repository: null, at: null, references: [], source: source.name, ...draft };
}

function aboutWork(source: SourceFigures, work: WorkCounts): Finding[] {
  const what = work.type === null ? work.operation : `${work.type} ${work.operation}`;
  const findings: Finding[] = [];
  if (work.withoutLaterSuccess.length > 0) {
    const detail = `${counted(work.withoutLaterSuccess.length, "record")} of ${what} that failed, was interrupted or was missed, and no success since`;
    findings.push(finding(source, { severity: "deficiency", kind: "no_success_since", at: work.lastSuccessAt, detail, references: work.withoutLaterSuccess }));
  }
  if (work.skipped > 0)
    findings.push(
      finding(source, { severity: "exception", kind: "source_paused", detail: `${counted(work.skipped, "slot")} of ${what} skipped while somebody had the source paused` }),
    );
  if ((work.unaccounted ?? 0) > 0)
    findings.push(
      finding(source, {
        severity: "deficiency",
        kind: "slots_unaccounted",
        detail: `nothing accounts for the last ${counted(work.unaccounted ?? 0, "slot")} of ${what}: no run, and no record of a miss`,
      }),
    );
  return findings;
}

function aboutExposure(source: SourceFigures, copy: CopyExposure): Finding[] {
  const { repository, breaches, worst, objectiveSeconds, unobservedShare } = copy;
  const findings: Finding[] = [];
  const [first] = breaches;
  if (first !== undefined) {
    const detail = `${counted(breaches.length, "time")} beyond the recovery point objective of ${formatDuration(objectiveSeconds)}, at worst ${Math.round(worst?.seconds ?? first.peakSeconds)} s`;
    findings.push(finding(source, { severity: beyondObjective(copy) ? "deficiency" : "exception", kind: "recovery_point_breach", repository, at: first.from, detail }));
  }
  for (const { from, until, startLsn, endLsn, knownAt } of copy.restatements)
    findings.push(
      finding(source, {
        severity: "exception",
        kind: "exposure_restated",
        repository,
        at: from,
        detail: `exposure until ${until} was worse than was thought then: WAL from ${startLsn} to ${endLsn} was found missing at ${knownAt}`,
      }),
    );
  if (unobservedShare === null || unobservedShare > MOST_UNOBSERVED_SHARE) {
    const detail =
      unobservedShare === null || unobservedShare === 1 ? "exposure was never observed" : `exposure was unobserved for ${Math.ceil(unobservedShare * 100)} % of the time`;
    findings.push(finding(source, { severity: "missing_evidence", kind: "exposure_unobserved", repository, detail }));
  }
  return findings;
}

function aboutDrills(source: SourceFigures): Finding[] {
  const { run, inconclusive, missed, withoutLaterPass, unaccounted } = source.drills;
  const findings: Finding[] = [];
  if (withoutLaterPass.length > 0)
    findings.push(
      finding(source, {
        severity: "deficiency",
        kind: "drill_failed",
        detail: `${counted(withoutLaterPass.length, "drill")} failed, and none has passed since`,
        references: withoutLaterPass,
      }),
    );
  if (run === 0) {
    const detail =
      inconclusive + missed > 0
        ? `no drill came to a result: ${inconclusive} inconclusive, ${missed} missed; recovery is unproven for the period`
        : "no drill at all: recovery is unproven for the period";
    findings.push(finding(source, { severity: "missing_evidence", kind: "no_drill", detail }));
  }
  if ((unaccounted ?? 0) > 0)
    findings.push(
      finding(source, {
        severity: "deficiency",
        kind: "slots_unaccounted",
        detail: `nothing accounts for the last ${counted(unaccounted ?? 0, "slot")} of drills: no run, and no record of a miss`,
      }),
    );
  return findings;
}

function aboutRecoveryTime(source: SourceFigures): Finding[] {
  const { actual } = source.recoveryTime;
  const late = actual.filter(({ seconds, objectiveSeconds }) => seconds > objectiveSeconds);
  const [first] = late;
  if (first === undefined) return [];
  const detail = `${late.length} of ${counted(actual.length, "measured recovery", "measured recoveries")} took longer than the recovery time objective`;
  return [
    finding(source, {
      severity: late.at(-1) === actual.at(-1) ? "deficiency" : "exception",
      kind: "recovery_time_breach",
      at: first.at,
      detail,
      references: late.map(({ run }) => run),
    }),
  ];
}

function aboutVerification(source: SourceFigures): Finding[] {
  const { copies, neverVerified } = source.verification;
  const findings = perRepository(standingDamage(copies)).map(([repository, damaged]) =>
    finding(source, {
      severity: "deficiency",
      kind: "damage_found",
      repository,
      at: damaged[0]?.at ?? null,
      detail: `${counted(damaged.length, "backup")} found damaged`,
      references: damaged.map(({ backup }) => backup),
    }),
  );
  if (neverVerified === null)
    return [...findings, finding(source, { severity: "missing_evidence", kind: "copy_never_verified", detail: "which copies there are was never looked up" })];
  const unseen = perRepository(neverVerified).map(([repository, copiesThere]) =>
    finding(source, {
      severity: "missing_evidence",
      kind: "copy_never_verified",
      repository,
      detail: `${counted(copiesThere.length, "backup")} never verified in this copy`,
      references: copiesThere.map(({ backup }) => backup),
    }),
  );
  return [...findings, ...unseen];
}

function aboutGaps(source: SourceFigures): Finding[] {
  return perRepository(source.gaps ?? []).map(([repository, gaps]) =>
    finding(source, {
      severity: "deficiency",
      kind: "wal_gap",
      repository,
      at: source.seenAt,
      detail: `${counted(gaps.length, "gap")} in the WAL (${gaps.map(({ timeline, startLsn, endLsn }) => `timeline ${timeline} from ${startLsn} to ${endLsn}`).join("; ")})`,
    }),
  );
}

/** What concerns copies, by the repository each is in. */
export function perRepository<T extends { readonly repository: string }>(items: readonly T[]): [string, T[]][] {
  return [...Map.groupBy(items, ({ repository }) => repository)];
}
