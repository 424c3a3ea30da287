import type { Schedule } from "../domain/schedule.ts";
import type { Catalog } from "./catalog.ts";
import { numberOrNull } from "./catalog.ts";

/** The number of a schedule that is given as text, which runs have instead: a thousand sources share a handful of them. It gets one where it has none yet. */
export function scheduleNumber(catalog: Catalog, text: string): number {
  return catalog.keepNumber(text, () => {
    catalog.run("insert into schedules (text) values (:text) on conflict (text) do nothing", { text });
    const [row] = catalog.all("select id from schedules where text = :text", { text });
    return row === undefined ? 0 : (numberOrNull(row, "id") ?? 0);
  });
}

/** In SQL about runs: the text of a run's schedule. */
export const SCHEDULE_TEXT = "(select text from schedules where schedules.id = runs.schedule)";

const parsed = new Map<string, Schedule>();

/** The same object for the same text: there are a handful, and what is known of a schedule is kept with it. */
export function parseSchedule(text: string): Schedule {
  let schedule = parsed.get(text);
  if (schedule === undefined) parsed.set(text, (schedule = JSON.parse(text) as Schedule));
  return schedule;
}

/** The schedules by their number, each read once. */
export function schedulesOf(catalog: Catalog): (number: number) => Schedule | null {
  const schedules = new Map(catalog.lists("select id, text from schedules").map(([id, text]) => [Number(id), parseSchedule(String(text))]));
  return (number) => schedules.get(number) ?? null;
}
