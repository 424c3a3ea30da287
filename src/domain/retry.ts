/** When a run that failed is tried again for the same slot. A slot that comes meanwhile takes its place; after the last attempt it has failed for good. */

/** The first attempt counts. Four reach over 21 minutes, which most restarts of a server and failures of a network are shorter than. */
const MOST_ATTEMPTS = 4;

const FIRST_WAIT_MS = 60_000;
const WAIT_GROWS = 4;

/** The moment from which the attempt after `attempt`, which ended at `endedAt`, may begin; null: it was the last. */
export function retryAt(attempt: number, endedAt: Date): Date | null {
  if (attempt >= MOST_ATTEMPTS) return null;
  return new Date(endedAt.getTime() + FIRST_WAIT_MS * WAIT_GROWS ** (attempt - 1));
}
