import { formatSeconds } from "../../domain/duration.ts";
import { scaleLinear } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import type { CopyExposure } from "../../domain/compliance.ts";
import { CANVAS_WIDTH, chart, pathOf, percent, round, timeAxis, timeScale } from "./chart.ts";
import type { Span } from "./chart.ts";

const HEIGHT = 150;
const TOP = 8;
const BOTTOM = 128;

interface Step {
  readonly from: Date;
  readonly seconds: number | null;
}

/** Exposure of one copy over a period: the worst seen in each step, the objective, and hatched where nobody looked. */
export function exposureChart(source: string, copy: CopyExposure, span: Span): Html {
  const { repository, series, objectiveSeconds, worst } = copy;
  const x = timeScale(span);
  const y = scaleLinear()
    .domain([0, Math.max(objectiveSeconds * 1.25, (worst?.seconds ?? 0) * 1.05)])
    .range([BOTTOM, TOP]);
  const steps = stepsOf(series, span);
  const height = ({ seconds }: Step): number => round(y(seconds ?? 0));
  const known = ({ seconds }: Step): boolean => seconds !== null;
  const left = ({ from }: Step): number => round(x(from));
  const shape = area<Step>().defined(known).curve(curveStepAfter).x(left).y0(BOTTOM).y1(height);
  const edge = line<Step>().defined(known).curve(curveStepAfter).x(left).y(height);
  const objectiveAt = round(y(objectiveSeconds));
  return chart({
    kind: "exposure",
    heightPx: HEIGHT,
    label: `Exposure of ${source} in ${repository}: at worst ${worst === null ? "unknown" : formatSeconds(worst.seconds)}, objective ${formatSeconds(objectiveSeconds)}`,
    stretched: html`${pathOf("unobserved", unobservedPath(steps, left))} ${pathOf("area", shape(steps))} ${pathOf("line", edge(steps))}
      <path class="objective" d="M0 ${objectiveAt}H${CANVAS_WIDTH}" />`,
    lettered: html`${timeAxis(x, TOP, BOTTOM)}
      <text class="objective-text" x="0.4%" y="${objectiveAt - 4}">objective ${formatSeconds(objectiveSeconds)}</text>
      ${worst === null ? "" : worstMark(percent(x(new Date(worst.at))), round(y(worst.seconds)), worst.seconds)}`,
  });
}

/** Each step is drawn to the next one, and a step of which nothing is known ends the line where it begins. */
function stepsOf(series: CopyExposure["series"], { from, to }: Span): Step[] {
  const steps = series.points.map(({ at, worstSeconds }) => ({ from: new Date(Math.max(from.getTime(), Date.parse(at))), seconds: worstSeconds }));
  const last = steps.at(-1);
  const drawn = steps.flatMap((step, index): Step[] => {
    const next = steps[index + 1];
    return step.seconds !== null && next?.seconds === null ? [step, { from: next.from, seconds: step.seconds }, next] : [step];
  });
  return last === undefined ? [] : [...drawn, { from: to, seconds: last.seconds }];
}

function unobservedPath(steps: readonly Step[], left: (step: Step) => number): string {
  return steps
    .flatMap((step, index) => {
      const next = steps[index + 1];
      return step.seconds !== null || next === undefined ? [] : [`M${left(step)} ${TOP}H${left(next)}V${BOTTOM}H${left(step)}Z`];
    })
    .join("");
}

function worstMark(x: number, y: number, seconds: number): Html {
  const anchor = x > 80 ? "end" : "start";
  return html`<circle class="worst" cx="${x}%" cy="${y}" r="3" /><text
      class="worst-text"
      x="${x}%"
      dx="${anchor === "end" ? -7 : 7}"
      y="${Math.max(TOP + 10, y - 6)}"
      text-anchor="${anchor}"
      >${formatSeconds(seconds)}</text
    >`;
}
