import type { Catalog } from "../catalog/catalog.ts";
import { kindsOnRecord } from "../catalog/compliance-queries.ts";
import { listSlots } from "../catalog/slot-population.ts";
import type { ReportSource } from "../domain/compliance.ts";
import type { PopulatedSlot } from "../domain/slot-population.ts";
import { scheduleOf } from "./run-record.ts";

export interface ListedSlot extends PopulatedSlot {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
}

/** Every slot of [from, to) by itself, also of those that are on record as intervals: what somebody samples from who wants one slot a line. Read as it is gone through. */
export function* slotBySlot(catalog: Catalog, sources: Iterable<ReportSource>, from: Date, to: Date): Generator<ListedSlot> {
  for (const source of sources)
    for (const { operation, type } of kindsOnRecord(catalog, source.name))
      for (const slot of listSlots(catalog, { source: source.name, operation, type }, from, to, scheduleOf(source, operation, type)))
        yield { source: source.name, operation, type, ...slot };
}
