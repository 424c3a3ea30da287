import type { Catalog } from "./catalog.ts";
import { textOf } from "./catalog.ts";

/** Which process schedules for this state folder: one at a time, or the same slot would be served twice. */
export interface SchedulerHolder {
  /** Who it is, as JSON. */
  readonly holder: string;
  /** When it last said that it is there. */
  readonly at: string;
}

export function readSchedulerHolder(catalog: Catalog): SchedulerHolder | null {
  const [row] = catalog.all("select holder, at from scheduler_holder");
  return row === undefined ? null : { holder: textOf(row, "holder"), at: textOf(row, "at") };
}

/** Makes `holder` the one that schedules, if `isFree` says so of the one before. False: it is not free. */
export function claimScheduler(catalog: Catalog, holder: string, at: Date, isFree: (before: SchedulerHolder) => boolean): boolean {
  return catalog.transaction(() => {
    const before = readSchedulerHolder(catalog);
    if (before !== null && before.holder !== holder && !isFree(before)) return false;
    catalog.run("insert into scheduler_holder (one, holder, at) values (1, :holder, :at) on conflict (one) do update set holder = excluded.holder, at = excluded.at", {
      holder,
      at: at.toISOString(),
    });
    return true;
  });
}

export function releaseScheduler(catalog: Catalog, holder: string): void {
  catalog.run("delete from scheduler_holder where holder = :holder", { holder });
}
