import { formatSeconds } from "../domain/duration.ts";
import type { CopyExposure } from "../domain/compliance.ts";
import type { ExposureSeries } from "../domain/exposure-series.ts";
import { html } from "./html.ts";
import type { Html } from "./html.ts";
import { formatTime } from "./report-format.ts";

/** Units of the drawing; it is stretched to the width there is, so that all lettering stands beside it in the page. */
const WIDTH = 960;
const HEIGHT = 100;

/** Exposure of one copy over the period: the worst that was seen in each step, the objective, and where nothing was seen. */
export function exposureFigure(source: string, { repository, series, objectiveSeconds, worst }: CopyExposure, measuredUntil: string): Html {
  const top = Math.max(objectiveSeconds * 1.2, (worst?.seconds ?? 0) * 1.05);
  const objectiveAt = (1 - objectiveSeconds / top) * HEIGHT;
  const [first] = series.points;
  const title = `Exposure of ${source} in ${repository}: at worst ${worst === null ? "unknown" : formatSeconds(worst.seconds)}, objective ${formatSeconds(objectiveSeconds)}`;
  return html`<figure class="exposure">
    <div class="plot">
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}">
        <title>${title}</title>
        <path class="unobserved" d="${unobservedPath(series)}" />
        <path class="objective" d="M0 ${round(objectiveAt)}H${WIDTH}" />
        <path class="area" d="${seriesPath(series, top, "area")}" />
        <path class="line" d="${seriesPath(series, top, "line")}" />
      </svg>
      <svg class="lettering" aria-hidden="true"><text class="objective-label" x="0.4%" y="${round(objectiveAt)}%" dy="-4">objective ${formatSeconds(objectiveSeconds)}</text></svg>
    </div>
    <div class="axis"><span>${formatTime(first?.at ?? measuredUntil)}</span><span>${formatTime(measuredUntil)}</span></div>
  </figure>`;
}

/** Each run of observed steps as a stepped line of its own: nothing is drawn across what was not seen. */
function seriesPath({ points }: ExposureSeries, top: number, kind: "line" | "area"): string {
  const step = WIDTH / points.length;
  return runsOf(points.map(({ worstSeconds }) => worstSeconds))
    .map(({ start, values }) => {
      const heights = values.map((seconds) => round((1 - (seconds ?? 0) / top) * HEIGHT));
      const steps = heights.map((height, index) => `V${height}H${round((start + index + 1) * step)}`).join("");
      return kind === "line" ? `M${round(start * step)} ${heights[0] ?? HEIGHT}${steps}` : `M${round(start * step)} ${HEIGHT}${steps}V${HEIGHT}Z`;
    })
    .join("");
}

function unobservedPath({ points }: ExposureSeries): string {
  const step = WIDTH / points.length;
  return runsOf(points.map(({ worstSeconds }) => (worstSeconds === null ? 0 : null)))
    .map(({ start, values }) => `M${round(start * step)} 0H${round((start + values.length) * step)}V${HEIGHT}H${round(start * step)}Z`)
    .join("");
}

/** Stretches without a null. */
function runsOf(values: readonly (number | null)[]): { start: number; values: (number | null)[] }[] {
  const runs: { start: number; values: (number | null)[] }[] = [];
  for (const [index, value] of values.entries()) {
    if (value === null) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.values.length === index) last.values.push(value);
    else runs.push({ start: index, values: [value] });
  }
  return runs;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
