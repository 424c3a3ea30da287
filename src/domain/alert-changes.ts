import { ALERT_KINDS } from "./alert-kinds.ts";
import type { AlertKind } from "./alert-kinds.ts";
import type { AlertAssessment, AlertCondition } from "./alert-facts.ts";

/** An alert that is not over, as far as it matters for what happens next. */
export interface StandingAlert {
  readonly id: string;
  readonly key: string;
  readonly kind: AlertKind | null;
  readonly detail: string | null;
}

/** How long each key has been seen, or no longer been seen, on a clock that only goes forward. Lost with the process: then it begins to count anew. */
export interface AlertWatch {
  readonly seenSinceMs: ReadonlyMap<string, number>;
  readonly goneSinceMs: ReadonlyMap<string, number>;
}

export const NOTHING_WATCHED: AlertWatch = { seenSinceMs: new Map(), goneSinceMs: new Map() };

export interface AlertChanges {
  readonly raise: readonly AlertCondition[];
  readonly resolve: readonly StandingAlert[];
  /** The same alert, which stands differently. */
  readonly update: readonly { readonly id: string; readonly detail: string | null }[];
  readonly watch: AlertWatch;
}

/**
 * What has to happen so that the alerts fit what is wrong now. A condition must hold for the time of its kind before it is raised, and be away for another before it is over, so that what
 * comes and goes is one alert and not many. What nobody can tell at the moment changes nothing.
 */
export function planAlertChanges(standing: readonly StandingAlert[], { conditions, undecided }: AlertAssessment, watch: AlertWatch, nowMs: number): AlertChanges {
  const now = new Map(conditions.map((condition) => [condition.key, condition]));
  const open = new Set(standing.map(({ key }) => key));
  const seenSinceMs = new Map([...now.keys()].filter((key) => !open.has(key)).map((key) => [key, watch.seenSinceMs.get(key) ?? nowMs]));
  const gone = standing.filter(({ key }) => !now.has(key));
  // While nobody knows, the time that it was gone stands still.
  const goneSinceMs = new Map(gone.filter(({ key }) => !undecided.has(key)).map(({ key }) => [key, watch.goneSinceMs.get(key) ?? nowMs]));
  const raise = [...now.values()].filter(({ key, kind }) => !open.has(key) && nowMs - (seenSinceMs.get(key) ?? nowMs) >= ALERT_KINDS[kind].raiseAfterSeconds * 1000);
  const resolve = gone.filter(({ key, kind }) => {
    const since = goneSinceMs.get(key);
    return since !== undefined && nowMs - since >= (kind === null ? 0 : ALERT_KINDS[kind].clearAfterSeconds * 1000);
  });
  const update = standing.flatMap(({ id, key, detail }) => {
    const condition = now.get(key);
    return condition === undefined || condition.detail === detail ? [] : [{ id, detail: condition.detail }];
  });
  return { raise, resolve, update, watch: { seenSinceMs, goneSinceMs } };
}
