import type { SourceLine, WorkCounts } from "../domain/compliance.ts";
import { html, NOTHING } from "./html.ts";
import type { Html } from "./html.ts";
import { count, duration, tally } from "./report-format.ts";
import { objectiveBadge, statusBadge, table } from "./report-parts.ts";

/** All sources in one table, where there are several. `chapters`: how many of them have one on this page. */
export function sourcesTable(sources: readonly SourceLine[], chapters: number): Html {
  if (sources.length < 2) return NOTHING;
  const note =
    chapters < sources.length
      ? html`<p>
          A chapter follows for the ${chapters} whose status is worst. The JSON has all of every source; <code>holdfast report --source NAME</code> writes the page of one.
        </p>`
      : NOTHING;
  return html`<section>
    <h2>Sources</h2>
    ${note}${table({
      caption: "Each source over the period",
      columns: ["Source", "Tier", "Status", "RPO", "Worst#", "RTO", "Longest#", "Backups due#", "Done#", "Failed#", "Missed#", "Drills run#", "Passed#", "Missed#"],
      rows: sources.map((source) => [
        source.name,
        source.tier,
        statusBadge(source.status),
        objectiveBadge(source.recoveryPoint),
        duration(worstOf(source)),
        objectiveBadge(source.recoveryTime.verdict),
        duration(source.recoveryTime.maxSeconds),
        count(total(source.backups, "due")),
        count(total(source.backups, "succeeded")),
        tally(total(source.backups, "failed")),
        tally(total(source.backups, "missed")),
        count(source.drills.run),
        count(source.drills.passed),
        tally(source.drills.missed),
      ]),
      empty: "no source is in scope",
    })}
  </section>`;
}

/** The worst exposure of the copies that must hold the objective; null: not seen. */
function worstOf({ exposure }: SourceLine): number | null {
  const worst = exposure.flatMap((copy) => (copy.objectiveApplies && copy.worst !== null ? [copy.worst.seconds] : []));
  return worst.length === 0 ? null : Math.max(...worst);
}

function total(backups: readonly WorkCounts[], of: "due" | "succeeded" | "failed" | "missed"): number {
  return backups.reduce((sum, work) => sum + work[of], 0);
}
