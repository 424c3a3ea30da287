import { TREND_MS, withinLimit } from "../domain/capacity.ts";
import type { CapacityReading } from "../domain/capacity.ts";
import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf } from "./catalog.ts";

/** How full each repository was, hour by hour. Observations: lost with the catalog. */
const KEEP_DAYS = 400;

export function recordCapacity(catalog: Catalog, repository: string, reading: CapacityReading): void {
  catalog.run("insert into capacity (repository, at, used_bytes, free_bytes) values (:repository, :at, :usedBytes, :freeBytes) on conflict do nothing", { repository, ...reading });
  catalog.run("delete from capacity where repository = :repository and at < :before", {
    repository,
    before: new Date(Date.parse(reading.at) - KEEP_DAYS * 86_400_000).toISOString(),
  });
}

/** Readings of a repository that say something of its trend, oldest first, within what it may grow to. */
export function recentCapacity(catalog: Catalog, { name, maxBytes }: { readonly name: string; readonly maxBytes: number | null }, now: Date): CapacityReading[] {
  return withinLimit(readCapacity(catalog, name, new Date(now.getTime() - TREND_MS).toISOString()), maxBytes);
}

/** As they were measured. */
function readCapacity(catalog: Catalog, repository: string, from: string): CapacityReading[] {
  return catalog
    .all("select at, used_bytes, free_bytes from capacity where repository = :repository and at >= :from order by at", { repository, from })
    .map((row) => ({ at: textOf(row, "at"), usedBytes: numberOrNull(row, "used_bytes"), freeBytes: numberOrNull(row, "free_bytes") }));
}
