import { formatSeconds } from "../../domain/duration.ts";
import { line, curveStep } from "d3-shape";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { round } from "./chart.ts";

const WIDTH = 96;
const HEIGHT = 24;

/** A day of exposure in the space of a word, with the objective as a line if it was come near to. Small: an overview holds fifty of them. */
export function sparkLine(values: readonly (number | null)[], objectiveSeconds: number): Html {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return html`<span class="none" title="not observed in the last day">not observed</span>`;
  const worst = Math.max(...known);
  const top = Math.max(objectiveSeconds, worst, 1);
  const x = (index: number): number => round((index / Math.max(1, values.length - 1)) * WIDTH);
  const y = (value: number): number => round(1.5 + (1 - value / top) * (HEIGHT - 3));
  const path = line<number | null>()
    .defined((value) => value !== null)
    .curve(curveStep)
    .x((_value, index) => x(index))
    .y((value) => y(value ?? 0))
    .digits(1)(values);
  const label = `last day: at worst ${formatSeconds(worst)}, ${known.length} of ${values.length} half hours observed`;
  const beyond = worst > objectiveSeconds ? "beyond" : "";
  return html`<svg class="spark ${beyond}" role="img" aria-label="${label}" width="${WIDTH}" height="${HEIGHT}">
    <path class="objective" d="M0 ${y(objectiveSeconds)}H${WIDTH}" />
    <path class="line" d="${path ?? ""}" />
  </svg>`;
}
