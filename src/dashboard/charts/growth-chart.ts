import { scaleLinear } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { formatBytes } from "../../compliance/report-format.ts";
import { chart, pathOf, round, timeAxis, timeScale } from "./chart.ts";
import type { Span } from "./chart.ts";

const HEIGHT = 170;
const TOP = 10;
const BOTTOM = 148;
const LEVELS = 3;

export interface Level {
  readonly at: Date;
  readonly bytes: number;
}

/** How many bytes there were over time. */
export function growthChart(what: string, known: readonly Level[], span: Span): Html {
  const levels = [...known, ...known.slice(-1).map(({ bytes }) => ({ at: span.to, bytes }))];
  const x = timeScale(span);
  const highest = levels.reduce((most, { bytes }) => Math.max(most, bytes), 1);
  const y = scaleLinear()
    .domain([0, highest * 1.1])
    .range([BOTTOM, TOP]);
  const left = ({ at }: Level): number => round(x(at));
  const height = ({ bytes }: Level): number => round(y(bytes));
  const first = levels[0]?.bytes ?? 0;
  return chart({
    kind: "growth",
    heightPx: HEIGHT,
    label: `${what}: from ${formatBytes(first)} to ${formatBytes(levels.at(-1)?.bytes ?? 0)}`,
    stretched: html`${pathOf("area", area<Level>().curve(curveStepAfter).x(left).y0(BOTTOM).y1(height)(levels))}
    ${pathOf("line", line<Level>().curve(curveStepAfter).x(left).y(height)(levels))}`,
    lettered: html`${timeAxis(x, TOP, BOTTOM)}
    ${levelTicks(highest).map((bytes) => html`<line class="grid" x1="0" x2="100%" y1="${round(y(bytes))}" y2="${round(y(bytes))}" /><text class="tick" x="0.4%" y="${round(y(bytes)) - 3}">${formatBytes(bytes)}</text>`)}`,
  });
}

/** Round numbers of the unit that is written, which goes by powers of 1024. */
function levelTicks(highest: number): number[] {
  const unit = 1024 ** Math.floor(Math.log2(highest) / 10);
  return scaleLinear()
    .domain([0, highest / unit])
    .ticks(LEVELS)
    .map((value) => value * unit);
}
