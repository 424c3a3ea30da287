import { formatSeconds } from "../../domain/duration.ts";
import { scaleLinear } from "d3-scale";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { CANVAS_WIDTH, chart, percent, round } from "./chart.ts";

const ROW = 30;
const TOP = 4;

interface Phase {
  readonly name: string;
  readonly seconds: number;
}

/** The phases of a drill one below the other, each beginning where the one before ended. */
export function waterfallChart(phases: readonly Phase[], objectiveSeconds: number | null): Html {
  const total = phases.reduce((sum, { seconds }) => sum + seconds, 0);
  // An objective far away would press everything to the left edge: then its line stays outside of the picture.
  const end = objectiveSeconds !== null && objectiveSeconds < total * 2.5 ? Math.max(total, objectiveSeconds) : total;
  const x = scaleLinear()
    .domain([0, Math.max(end, 0.001)])
    .range([0, CANVAS_WIDTH]);
  const bottom = TOP + ROW * phases.length;
  return chart({
    kind: "waterfall",
    heightPx: bottom + 8,
    label: `Phases: ${phases.map(({ name, seconds }) => `${name} ${formatSeconds(seconds)}`).join(", ")}`,
    stretched: "",
    lettered: html`${objectiveSeconds === null || objectiveSeconds > end ? "" : html`<line class="objective" x1="${percent(x(objectiveSeconds))}%" x2="${percent(x(objectiveSeconds))}%" y1="0" y2="${bottom}" />`}
    ${phases.map((phase, index) => {
      const from = phases.slice(0, index).reduce((sum, { seconds }) => sum + seconds, 0);
      return phaseBar(phase, percent(x(from)), percent(x(from + phase.seconds)), TOP + ROW * index);
    })}`,
  });
}

/** What the words beside a bar need, in per cent of the width of a phone. Where neither side has it the bar is so long that they stand on it. */
const ROOM_FOR_WORDS = 34;

function phaseBar({ name, seconds }: Phase, left: number, right: number, y: number): Html {
  const words = `${name} ${formatSeconds(seconds)}`;
  const inner =
    left >= ROOM_FOR_WORDS
      ? html`<text x="${left}%" dx="-6" y="${y + 17}" text-anchor="end">${words}</text>`
      : right <= 100 - ROOM_FOR_WORDS
        ? html`<text x="${right}%" dx="6" y="${y + 17}">${words}</text>`
        : html`<text class="on-bar" x="${left}%" dx="8" y="${y + 17}">${words}</text>`;
  return html`<rect class="phase" x="${left}%" y="${y + 4}" width="${Math.max(0.2, round(right - left))}%" height="18" rx="2" />${inner}`;
}
