import type { DrillRecord, RunRecord, Told } from "../domain/control-population.ts";
import { html, NOTHING } from "./html.ts";
import type { Html } from "./html.ts";
import { count, duration, NONE, time } from "./report-format.ts";
import { outcomeBadge, table } from "./report-parts.ts";

/** Every drill and every slot for one; of very many those first that did not pass. */
export function drillRegister({ length, shown }: Told<DrillRecord>): Html {
  const note = shown.length < length ? html`<p>${shown.length} of ${count(length)}, those first that did not pass; the JSON has every one.</p>` : NOTHING;
  return html`<section>
    <h2>Drill register</h2>
    ${note}${table({
      caption: "Every drill, and every slot for one",
      columns: ["Slot", "Began", "Source", "Outcome", "Point", "Copy", "Backup", "Reached LSN", "RTO#", "RPO#", "Checks", "Apart from source", "Why"],
      rows: shown.map((drill) => [
        slotOf(drill),
        drill.outcome === "missed" ? NONE : time(drill.startedAt),
        drill.source,
        outcomeBadge(drill.verdict ?? drill.outcome),
        drill.target ?? NONE,
        drill.repository ?? NONE,
        drill.backupId === null ? NONE : html`<code>${drill.backupId}</code>`,
        drill.achievedLsn ?? NONE,
        duration(drill.rtoActualSeconds, NONE),
        duration(drill.rpoActualSeconds, NONE),
        drill.checks.length === 0 ? NONE : `${drill.checks.filter(({ outcome }) => outcome === "pass").length} of ${drill.checks.length} passed`,
        apartFromSource(drill),
        drill.reason ?? NOTHING,
      ]),
      empty: "no drill, and no slot for one, is on record in the period",
    })}
  </section>`;
}

/** On another machine than its source, as far as its address tells. */
function apartFromSource({ segregation }: DrillRecord): Html {
  if (segregation === null) return NONE;
  const words = segregation.sameMachine === null ? "unknown" : segregation.sameMachine ? "no, same machine" : "yes";
  return html`<span title="${segregation.reason}">${words}</span>`;
}

/** Work that comes every few minutes: on the page only where it did not succeed. */
const ROUTINE: readonly string[] = ["expire", "log"];

/** Every run; of very many those first that did not succeed. */
export function runPopulation({ length, shown }: Told<RunRecord>): Html {
  const isRoutine = ({ operation, outcome }: RunRecord): boolean => ROUTINE.includes(operation) && outcome === "succeeded";
  const runs = shown.filter((run) => !isRoutine(run));
  const note =
    runs.length < length
      ? html`<p>
          ${runs.length} of ${count(length)} records. Left out are successful runs of expire and log, and where there are too many for a page first those that succeeded; the JSON
          has every one.
        </p>`
      : NOTHING;
  return html`<section>
    <h2>Run population</h2>
    ${note}${table({
      caption: "Every run, and every slot that was passed over",
      columns: ["Slot", "Began", "Source", "Work", "By", "Outcome", "Slots#", "Took#", "Backup", "Why"],
      rows: runs.map((run) => [
        slotOf(run),
        run.outcome === "missed" || run.outcome === "superseded" || run.outcome === "skipped" ? NONE : time(run.startedAt),
        run.source,
        run.type === null || run.type === run.operation ? run.operation : `${run.type} ${run.operation}`,
        run.trigger,
        outcomeBadge(run.outcome),
        count(run.slots),
        duration(run.durationSeconds, NONE),
        run.backupId === null ? NONE : html`<code>${run.backupId}</code>`,
        run.reason ?? NOTHING,
      ]),
      empty: "nothing is on record in the period",
    })}
  </section>`;
}

function slotOf({ scheduledFor, until }: { scheduledFor: string | null; until?: string | null }): Html {
  return until === undefined || until === null ? time(scheduledFor) : html`${time(scheduledFor)} to ${time(until)}`;
}
