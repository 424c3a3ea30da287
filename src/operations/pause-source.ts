import { currentPause, pauseWithId } from "../catalog/pauses.ts";
import type { PauseRecord } from "../catalog/pauses.ts";
import { HoldfastError } from "../errors.ts";
import type { SourceConfig } from "../policy/types.ts";
import { newRunId } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { recordEntry } from "./record-run.ts";

/** Longer than this is no pause but a decision about the policy, and belongs there. */
const MOST_DAYS = 90;

interface PauseOrder {
  readonly source: SourceConfig;
  /** For those who wonder why nothing ran: it is in every report. */
  readonly reason: string;
  /** When it ends by itself. */
  readonly until: Date;
  /** Who asked: a user's or a token's name. */
  readonly by: string;
}

type Pausing = Pick<Installation, "journal" | "catalog">;

/** Leaves a source alone by schedule until a time: its slots are skipped, with the reason on record. What runs goes on, and so does the WAL stream: a slot that nobody reads fills the server's disk. */
export async function pauseSource({ journal, catalog }: Pausing, { source, reason, until, by }: PauseOrder): Promise<PauseRecord> {
  const now = journal.clock.now();
  if (reason.trim() === "") throw new HoldfastError("HF-USAGE", "a pause needs a reason", { hint: "it is shown to everybody who wonders why nothing runs" });
  if (until <= now) throw new HoldfastError("HF-USAGE", "the pause would end before it begins", { hint: "give a time ahead", facts: { until: until.toISOString() } });
  if (until.getTime() - now.getTime() > MOST_DAYS * 86_400_000)
    throw new HoldfastError("HF-USAGE", `a pause is at most ${MOST_DAYS} days`, { hint: "change the policy, or take the source out of the inventory" });
  const id = newRunId(journal.clock);
  await recordEntry(journal, "source.paused", { id, source: source.name, until: until.toISOString(), reason: reason.trim(), by });
  await journal.copyToRepositories();
  // By its id: it began a moment after `now`.
  const pause = pauseWithId(catalog, id);
  if (pause === null) throw new HoldfastError("HF-BUG", "a pause that was just put on record is not there");
  return pause;
}

/** Ends every pause of a source now. Returns how many there were. */
export async function resumeSource({ journal, catalog }: Pausing, { source, by }: Pick<PauseOrder, "source" | "by">): Promise<number> {
  let ended = 0;
  for (let pause = currentPause(catalog, source.name, journal.clock.now()); pause !== null; pause = currentPause(catalog, source.name, journal.clock.now())) {
    await recordEntry(journal, "source.resumed", { id: pause.id, source: source.name, by });
    ended++;
  }
  if (ended > 0) await journal.copyToRepositories();
  return ended;
}
