import type { Catalog } from "./catalog.ts";

/** A schedule as text gets a number, which runs have instead: a thousand sources share a handful of them. To be called before a run refers to it, in the same transaction. */
export function keepSchedule(catalog: Catalog, text: string): void {
  catalog.run("insert into schedules (text) values (:text) on conflict (text) do nothing", { text });
}

/** In SQL about runs: the text of a run's schedule, and the number of the schedule that is `:schedule` as text. */
export const SCHEDULE_TEXT = "(select text from schedules where schedules.id = runs.schedule)";
export const SCHEDULE_NUMBER = "(select schedules.id from schedules where schedules.text = :schedule)";
