import type { DrillRecord } from "./control-population.ts";
import { perRepository } from "./control-findings.ts";
import { counted } from "./control-wording.ts";
import { formatDuration, formatSeconds } from "./duration.ts";
import type { GapView } from "./source-info.ts";

/** Whether a source holds its objectives at this moment. `unknown` is never `ok`: what nobody has seen is not kept. */
export type StatusVerdict = "ok" | "breached" | "unknown";

export interface StatusReason {
  /** `note`: worth knowing, and no objective fails by it. */
  readonly kind: "breached" | "unknown" | "note";
  readonly text: string;
}

export interface CurrentCopy {
  readonly repository: string;
  /** False: the log does not go there by policy, so that the recovery point objective is not asked of this copy alone. */
  readonly objectiveApplies: boolean;
  readonly observed: boolean;
  /** Null where it is not observed, or no longer. */
  readonly exposureSeconds: number | null;
  readonly exposureBytes: number | null;
  /** When it was last looked at, whether or not it could be observed. */
  readonly sampledAt: string | null;
  /** Null: not observed, or not asked of this copy. */
  readonly held: boolean | null;
  readonly recoverableFrom: string | null;
  readonly recoverableTo: string | null;
  /** Null: not known. */
  readonly gaps: number | null;
}

export interface NowFacts {
  readonly copies: readonly CurrentCopy[];
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  /** How many backups there are; null: never looked. */
  readonly backups: number | null;
  readonly gaps: readonly GapView[];
  readonly damaged: readonly { readonly repository: string; readonly backup: string }[];
  /** The last that came to a result. */
  readonly lastDrill: DrillRecord | null;
  /** Types whose newest run failed. */
  readonly failedSince: readonly string[];
  /** Null: its schedule is not paused. */
  readonly paused: { readonly until: string; readonly reason: string } | null;
}

export function judgeNow(facts: NowFacts): { readonly verdict: StatusVerdict; readonly reasons: readonly StatusReason[] } {
  const reasons = [...aboutBackups(facts), ...aboutCopies(facts), ...aboutDamage(facts), ...aboutDrill(facts), ...aboutFailures(facts), ...aboutPause(facts)];
  const has = (kind: StatusReason["kind"]): boolean => reasons.some((reason) => reason.kind === kind);
  return { verdict: has("breached") ? "breached" : has("unknown") ? "unknown" : "ok", reasons };
}

function aboutBackups({ backups }: NowFacts): StatusReason[] {
  if (backups === null) return [{ kind: "unknown", text: "the repositories were never looked at" }];
  return backups === 0 ? [{ kind: "breached", text: "there is no backup" }] : [];
}

function aboutCopies({ copies, objectives: { rpoSeconds } }: NowFacts): StatusReason[] {
  return copies
    .filter(({ objectiveApplies }) => objectiveApplies)
    .flatMap(({ repository, exposureSeconds }): StatusReason[] => {
      if (exposureSeconds === null) return [{ kind: "unknown", text: `exposure of the copy in ${repository} is not observed` }];
      if (exposureSeconds <= rpoSeconds) return [];
      return [
        { kind: "breached", text: `the copy in ${repository} is exposed for ${formatSeconds(exposureSeconds)}, the recovery point objective is ${formatDuration(rpoSeconds)}` },
      ];
    });
}

function aboutDamage({ gaps, damaged }: NowFacts): StatusReason[] {
  const gapReasons = perRepository(gaps).map(([repository, found]): StatusReason => ({
    kind: "breached",
    text: `${counted(found.length, "gap")} in the WAL of the copy in ${repository}: times in between cannot be recovered`,
  }));
  const damageReasons = perRepository(damaged).map(([repository, found]): StatusReason => ({
    kind: "breached",
    text: `${counted(found.length, "backup")} damaged in the copy in ${repository}`,
  }));
  return [...gapReasons, ...damageReasons];
}

function aboutDrill({ lastDrill, objectives: { rtoSeconds } }: NowFacts): StatusReason[] {
  if (lastDrill === null) return [{ kind: "unknown", text: "recovery was never proven by a drill" }];
  if (lastDrill.verdict === "fail") return [{ kind: "breached", text: "the last drill failed" }];
  const { rtoActualSeconds } = lastDrill;
  if (rtoActualSeconds === null) return [{ kind: "unknown", text: "the last drill did not measure the recovery time" }];
  return rtoActualSeconds > rtoSeconds
    ? [{ kind: "breached", text: `the last drill took ${formatSeconds(rtoActualSeconds)}, the recovery time objective is ${formatDuration(rtoSeconds)}` }]
    : [];
}

function aboutFailures({ failedSince }: NowFacts): StatusReason[] {
  return failedSince.map((type) => ({ kind: "note", text: `the newest ${type} backup did not succeed` }));
}

function aboutPause({ paused }: NowFacts): StatusReason[] {
  return paused === null ? [] : [{ kind: "note", text: `paused until ${paused.until}: ${paused.reason}` }];
}
