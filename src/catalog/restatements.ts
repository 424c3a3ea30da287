import { z } from "zod";
import type { Restatement } from "../domain/restatement.ts";
import type { Catalog } from "./catalog.ts";
import { pageOfEntries } from "./entries.ts";

/** Entries `exposure.restated`, as they are on record. */
export const RESTATED = "exposure.restated";

const factsSchema = z.object({ repository: z.string(), timeline: z.number(), startLsn: z.string(), endLsn: z.string(), from: z.iso.datetime(), until: z.iso.datetime() });

/** More gaps nobody has. */
const MOST_ENTRIES = 10_000;

export interface RecordedRestatement extends Restatement {
  /** When it came to be known. */
  readonly knownAt: string;
}

/** Of one source, oldest first. */
export function restatementsOf(catalog: Catalog, source: string): RecordedRestatement[] {
  const entries = pageOfEntries(catalog, { sources: [source], kind: RESTATED, by: null, from: null, to: null, limit: MOST_ENTRIES, offset: 0 });
  return entries
    .flatMap(({ at, facts }) => {
      const parsed = factsSchema.safeParse(facts);
      return parsed.success ? [{ ...parsed.data, knownAt: at }] : [];
    })
    .toReversed();
}
