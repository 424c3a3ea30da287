import { scaleUtc } from "d3-scale";
import type { ScaleTime } from "d3-scale";
import { html, NOTHING } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";

/**
 * Charts are drawn here, on the server, as SVG that needs no script. Shapes are drawn on a canvas of fixed width that is stretched to the width there is; lettering stands outside of it, at
 * percentages, so that it is never stretched. There is no style attribute anywhere: the pages' content security policy would refuse it.
 */
export const CANVAS_WIDTH = 1000;

export interface Chart {
  /** What the picture shows, in a sentence: all that a reader of the page without eyes gets of it, besides the table beside it. */
  readonly label: string;
  readonly heightPx: number;
  /** Drawn on the canvas: `CANVAS_WIDTH` units wide, `heightPx` high. */
  readonly stretched: HtmlValue;
  /** Drawn at percentages of the width. */
  readonly lettered: HtmlValue;
  readonly kind: string;
}

export function chart({ label, heightPx, stretched, lettered, kind }: Chart): Html {
  return html`<svg class="chart ${kind}" role="img" aria-label="${label}" width="100%" height="${heightPx}">
    <title>${label}</title>
    <svg x="0" y="0" width="100%" height="${heightPx}" viewBox="0 0 ${CANVAS_WIDTH} ${heightPx}" preserveAspectRatio="none">${stretched}</svg>
    ${lettered}
  </svg>`;
}

export interface Span {
  readonly from: Date;
  readonly to: Date;
}

/** Times to units of the canvas. */
export function timeScale({ from, to }: Span): ScaleTime<number, number> {
  return scaleUtc().domain([from, to]).range([0, CANVAS_WIDTH]);
}

const TICKS = 5;
const DAY_MS = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** d3 writes times of day in halves of twelve hours; everything else here does not. */
function clockTime(at: Date): string {
  return at.toISOString().slice(11, 16);
}

function calendarDay(at: Date): string {
  return `${MONTHS[at.getUTCMonth()]} ${at.getUTCDate()}`;
}

/** Hair lines with times below them, between `topPx` and `bottomPx`. Times near an edge are left out: they would be cut off. */
export function timeAxis(scale: ScaleTime<number, number>, topPx: number, bottomPx: number): Html {
  const [from, to] = scale.domain();
  const format = from !== undefined && to !== undefined && to.getTime() - from.getTime() <= 2 * DAY_MS ? clockTime : calendarDay;
  const ticks = scale.ticks(TICKS).map((at) => ({ at, x: percent(scale(at)) }));
  return html`${ticks.map(({ x }) => html`<line class="grid" x1="${x}%" x2="${x}%" y1="${topPx}" y2="${bottomPx}" />`)}
  ${ticks.filter(({ x }) => x > 3 && x < 97).map(({ at, x }) => html`<text class="tick" x="${x}%" y="${bottomPx + 14}" text-anchor="middle">${format(at)}</text>`)}`;
}

/** Units of the canvas as a percentage of the width, for lettering. */
export function percent(units: number): number {
  return round((units / CANVAS_WIDTH) * 100);
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** An attribute value of d3, which is null for nothing to draw. */
export function pathOf(className: string, d: string | null): Html {
  return d === null || d === "" ? NOTHING : html`<path class="${className}" d="${d}" />`;
}
