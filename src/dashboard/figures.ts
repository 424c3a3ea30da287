import { formatSeconds } from "../domain/duration.ts";
import { html } from "../compliance/html.ts";
import type { Html, HtmlValue } from "../compliance/html.ts";
import { duration, formatTime, NONE, time, UNKNOWN } from "../compliance/report-format.ts";
import { outcomeBadge } from "../compliance/report-parts.ts";
import type { StatusReason } from "../domain/control-now.ts";
import { counted } from "../domain/control-wording.ts";
import type { RecoveryEstimate } from "../domain/recovery-estimate.ts";

/** How figures are shown that stand against an objective or a clock. */

const GAUGE = { width: 72, height: 6 } as const;
/** A threshold is near from here on. */
const NEAR = 0.8;

/** How much of an objective is used up, as a bar beside words that say the same. */
function gauge(value: number, objective: number): Html {
  const used = value / objective;
  const tone = used > 1 ? "bad" : used >= NEAR ? "fair" : "good";
  return html`<svg class="gauge ${tone}" width="${GAUGE.width}" height="${GAUGE.height}" aria-hidden="true">
    <rect class="track" width="${GAUGE.width}" height="${GAUGE.height}" rx="3" />
    <rect class="fill" width="${Math.max(2, Math.min(1, used) * GAUGE.width).toFixed(1)}" height="${GAUGE.height}" rx="3" />
  </svg>`;
}

export function againstObjective(seconds: number | null, objectiveSeconds: number, note: HtmlValue = ""): Html {
  if (seconds === null) return html`${UNKNOWN} <span class="of">of ${formatSeconds(objectiveSeconds)}</span>`;
  return html`<span class="measure">${duration(seconds)} <span class="of">of ${formatSeconds(objectiveSeconds)}</span>${note}</span>${gauge(seconds, objectiveSeconds)}`;
}

/** Never without the word: nobody should take it for a measurement. */
export function estimate(predicted: RecoveryEstimate | null, objectiveSeconds: number): Html {
  return predicted === null
    ? html`<span class="unknown">no drill to estimate from</span>`
    : againstObjective(
        predicted.seconds,
        objectiveSeconds,
        html` <span
          class="estimate"
          title="from ${counted(predicted.drills, "drill")}, between ${formatSeconds(predicted.lowSeconds)} and ${formatSeconds(predicted.highSeconds)} four times in five"
          >estimate</span
        >`,
      );
}

/** `3 d 4 h ago`, with the time itself; in words where it never was. */
export function ago(at: string | null, now: Date, never: HtmlValue): HtmlValue {
  if (at === null) return html`<span class="unknown">${never}</span>`;
  const seconds = Math.max(0, (now.getTime() - Date.parse(at)) / 1000);
  return html`<time datetime="${at}" title="${formatTime(at)} UTC">${seconds < 1 ? "now" : `${formatSeconds(seconds)} ago`}</time>`;
}

/** Until when nobody can delete something; a lock that is over keeps nobody from it. */
export function lockTime(until: string | null, now: Date): HtmlValue {
  if (until === null) return NONE;
  return Date.parse(until) > now.getTime() ? time(until) : html`<span class="none">over since ${time(until)}</span>`;
}

export function verdictBadge(verdict: string): Html {
  return outcomeBadge(verdict);
}

export function reasonList(reasons: readonly StatusReason[]): Html {
  return html`<ul class="reasons">
    ${reasons.map(({ kind, text }) => html`<li class="${kind}">${text}</li>`)}
  </ul>`;
}

/** An answer to one of the questions a page is opened for. */
export interface Answer {
  readonly question: string;
  readonly answer: HtmlValue;
  readonly note: HtmlValue;
}

export function answers(all: readonly Answer[]): Html {
  return html`<dl class="tiles answers">
    ${all.map(
      ({ question, answer, note }) =>
        html`<div class="tile">
          <dt>${question}</dt>
          <dd class="value">${answer}</dd>
          <dd class="note">${note}</dd>
        </div>`,
    )}
  </dl>`;
}

export function spanOf(from: string, to: string): Html {
  return html`${time(from)} <span class="dash">to</span> ${time(to)}`;
}

/** A form that asks for another look at the same page; without a script, by its button. */
export function filterForm(path: string, fields: HtmlValue, others: Readonly<Record<string, string | undefined>> = {}): Html {
  return html`<form class="filter" method="get" action="${path}" role="search">
    ${Object.entries(others).map(([name, value]) => (value === undefined ? "" : html`<input type="hidden" name="${name}" value="${value}" />`))} ${fields}
    <button type="submit">Show</button>
  </form>`;
}

export function selectField(label: string, name: string, chosen: string | undefined, choices: readonly (readonly [value: string, words: string])[]): Html {
  return html`<label
    >${label}
    <select name="${name}">
      ${choices.map(([value, words]) => html`<option value="${value}" ${value === (chosen ?? "") ? html`selected` : ""}>${words}</option>`)}
    </select></label
  >`;
}

export function textField(label: string, name: string, value: string | undefined, type: "search" | "date" = "search"): Html {
  return html`<label>${label} <input type="${type}" name="${name}" value="${value ?? ""}" maxlength="200" autocomplete="off" /></label>`;
}
