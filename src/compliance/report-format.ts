import { formatSeconds } from "../domain/duration.ts";
import { html } from "./html.ts";
import type { Html } from "./html.ts";

/** How figures are written for people. Each carries its exact value beside the rounded one, so that page and JSON can be compared. */

export const UNKNOWN = html`<span class="unknown">unknown</span>`;
/** There is nothing to be known: no such event. */
export const NONE = html`<span class="none" aria-label="none">–</span>`;

export function time(at: string | null, absent: Html = NONE): Html {
  return at === null ? absent : html`<time datetime="${at}">${formatTime(at)}</time>`;
}

/** `2026-11-21 16:44:54`; the page says once that all times are UTC. */
export function formatTime(at: string): string {
  return new Date(at).toISOString().slice(0, 19).replace("T", " ");
}

export function duration(seconds: number | null, absent: Html = UNKNOWN): Html {
  return seconds === null ? absent : html`<data value="${seconds}">${formatSeconds(seconds)}</data>`;
}

/** A share of the time, in per cent. `rounded` to the side that does not flatter: 99.999 % is not all. */
export function share(value: number | null, rounded: "down" | "up"): Html {
  if (value === null) return UNKNOWN;
  const steps = value * 10_000;
  // A share is a quotient of whole milliseconds: a difference this small is rounding, not time.
  const exact = Math.abs(steps - Math.round(steps)) < 1e-6 ? Math.round(steps) : rounded === "down" ? Math.floor(steps) : Math.ceil(steps);
  return html`<data value="${value}">${(exact / 100).toFixed(2)} %</data>`;
}

export function bytes(value: number | null): Html {
  return value === null ? UNKNOWN : html`<data value="${value}">${formatBytes(value)}</data>`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

export function formatBytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  return `${trimmed(value / 1024 ** power, 1)} ${BYTE_UNITS[power]}`;
}

export function count(value: number | null): Html {
  return value === null ? UNKNOWN : html`<data value="${value}">${value}</data>`;
}

/** As above, but a zero steps back: in a table of counts the others should be seen. */
export function tally(value: number): Html {
  return value === 0 ? html`<data class="zero" value="0">0</data>` : count(value);
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
