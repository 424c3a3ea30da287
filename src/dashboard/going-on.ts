import { formatSeconds } from "../domain/duration.ts";
import { newestRun } from "../catalog/compliance-queries.ts";
import { readProgress } from "../catalog/run-progress.ts";
import type { RunProgress } from "../catalog/run-progress.ts";
import { openRuns } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import { html, NOTHING } from "../compliance/html.ts";
import type { Html, HtmlValue } from "../compliance/html.ts";
import { formatBytes, NONE } from "../compliance/report-format.ts";
import { table } from "../compliance/report-parts.ts";
import { counted } from "../domain/control-wording.ts";
import { ago } from "./figures.ts";
import { linkTo, pathTo, withQuery } from "./links.ts";
import type { View } from "./view.ts";

/** So many are worth watching; the rest is a number. */
const MOST_SHOWN = 8;
/** A run that says nothing for longer may wait, or hang. */
const QUIET_SECONDS = 60;

/** What is going on now, and how far it is: of one source, or of all that may be seen. Nothing where nothing is. */
export function goingOn(view: View, source: string | null): Html {
  const running = openRuns(view.facts.catalog).filter((run) => (source === null ? view.seesAll || view.sources.has(run.source) : run.source === source));
  if (running.length === 0) return NOTHING;
  const told = new Map(readProgress(view.facts.catalog).map((progress) => [progress.run, progress]));
  const shown = running.slice(0, MOST_SHOWN);
  return html`<section class="now">
    ${table({
      caption: `Going on now: ${counted(running.length, "run")}`,
      columns: ["Work", ...(source === null ? ["Source"] : []), "Began", "How far"],
      rows: shown.map((run): HtmlValue[] => [
        linkTo(pathTo.run(run.id), run.type === null ? run.operation : `${run.operation}, ${run.type}`),
        ...(source === null ? [run.source === "" ? NONE : view.sources.has(run.source) ? linkTo(pathTo.source(run.source), run.source) : run.source] : []),
        ago(run.startedAt, view.now, NONE),
        howFar(view, run, told.get(run.id) ?? null),
      ]),
      empty: "nothing",
    })}
    ${running.length > MOST_SHOWN ? html`<p>${linkTo(withQuery(pathTo.runs, {}, { outcome: "running", source }), `and ${running.length - MOST_SHOWN} more`)}</p>` : NOTHING}
  </section>`;
}

/** How far one run is, as it last said; by the size of the last one where only that is known. */
export function howFarOf(view: View, run: Run): Html {
  return howFar(view, run, readProgress(view.facts.catalog).find((progress) => progress.run === run.id) ?? null);
}

function howFar(view: View, run: Run, progress: RunProgress | null): Html {
  if (progress === null) return html`<span class="none" data-run="${run.id}">it has begun</span>`;
  const { phase, doneBytes, totalBytes, at } = progress;
  const expected = totalBytes ?? sizeOfLast(view, run);
  const quietSeconds = (view.now.getTime() - Date.parse(at)) / 1000;
  const quiet = quietSeconds > QUIET_SECONDS ? html` <span class="unknown">has said nothing for ${formatSeconds(quietSeconds)}</span>` : "";
  if (doneBytes === 0) return html`<span data-run="${run.id}">${phase.replaceAll("_", " ")}${quiet}</span>`;
  const of = expected === null ? "" : totalBytes === null ? ` of about ${formatBytes(expected)}` : ` of ${formatBytes(expected)}`;
  return html`<span class="far" data-run="${run.id}"
    >${expected === null ? NOTHING : html`<progress max="${expected}" value="${Math.min(doneBytes, expected)}" aria-label="${`${run.operation} of ${run.source}`}"></progress>`}<span
      >${phase.replaceAll("_", " ")}: ${formatBytes(doneBytes)}${of}${quiet}</span
    ></span
  >`;
}

/** A backup does not know beforehand how much it will read: about as much as the last one. */
function sizeOfLast({ facts: { catalog } }: View, { source, operation }: Run): number | null {
  if (operation !== "backup") return null;
  const size = newestRun(catalog, { source, operation, type: null, outcome: "succeeded" })?.facts["sourceBytes"];
  return typeof size === "number" && size > 0 ? size : null;
}
