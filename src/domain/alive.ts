import type { SourceAlertFacts } from "./alert-facts.ts";

/** An observation older than this is none; every source is looked at every 15 s at most. */
const FRESH_SECONDS = 120;

export interface AliveFacts {
  readonly schedulerOnTime: boolean;
  readonly sources: readonly Pick<SourceAlertFacts, "name" | "seenAt" | "copies">[];
}

/** Why nobody may believe that all is watched; none: the dead man's switch is pressed. What is not known is a reason, and so is a source without a copy that could be judged. */
export function whyNotAlive({ schedulerOnTime, sources }: AliveFacts, now: Date): string[] {
  const unwatched = sources.filter(({ seenAt, copies }) => {
    const isFresh = seenAt !== null && Math.abs(now.getTime() - Date.parse(seenAt)) <= FRESH_SECONDS * 1000;
    const judged = copies.filter(({ objectiveApplies }) => objectiveApplies);
    return !isFresh || judged.length === 0 || judged.some(({ exposureSeconds }) => exposureSeconds === null);
  });
  return [...(schedulerOnTime ? [] : ["the scheduler does not run on time"]), ...unwatched.map(({ name }) => `${name} is not observed`)];
}
