import type { Catalog } from "./catalog.ts";

/** A schedule as text gets a number, which runs have instead: a thousand sources share a handful of them. To be called before a run refers to it, in the same transaction. */
export function keepSchedule(catalog: Catalog, text: string): void {
  catalog.run("insert into schedules (text) values (:text) on conflict (text) do nothing", { text });
}
