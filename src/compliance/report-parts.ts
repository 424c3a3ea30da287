import type { FindingSeverity, ObjectiveVerdict } from "../domain/compliance.ts";
import type { ControlStatus } from "../domain/control-status.ts";
import { html, NOTHING } from "./html.ts";
import type { Html, HtmlValue } from "./html.ts";

/** The pieces a report page is put together from. */

type Tone = "good" | "fair" | "bad" | "open";

/** Every verdict has a sign of its own shape beside its words: colour alone tells nothing to one reader in twelve, and nothing on a black-and-white printer. */
const SIGNS: Readonly<Record<Tone, string>> = { good: "✓", fair: "!", bad: "✕", open: "?" };

function badge(tone: Tone, words: string): Html {
  return html`<span class="badge ${tone}"><span class="sign" aria-hidden="true">${SIGNS[tone]}</span>${words}</span>`;
}

export function statusBadge(status: ControlStatus): Html {
  switch (status) {
    case "effective":
      return badge("good", "effective");
    case "effective_with_exceptions":
      return badge("fair", "effective with exceptions");
    case "deficient":
      return badge("bad", "deficient");
    case "not_evidenced":
      return badge("open", "not evidenced");
    case "not_applicable":
      return badge("open", "not applicable");
  }
}

export function objectiveBadge(verdict: ObjectiveVerdict): Html {
  switch (verdict) {
    case "held":
      return badge("good", "held");
    case "breached":
      return badge("bad", "breached");
    case "not_evidenced":
      return badge("open", "not evidenced");
  }
}

export function severityBadge(severity: FindingSeverity): Html {
  switch (severity) {
    case "deficiency":
      return badge("bad", "deficiency");
    case "missing_evidence":
      return badge("open", "missing evidence");
    case "exception":
      return badge("fair", "exception");
  }
}

const OUTCOME_TONES: Readonly<Record<string, Tone>> = {
  succeeded: "good",
  pass: "good",
  pass_with_warnings: "fair",
  superseded: "good",
  failed: "bad",
  fail: "bad",
  missed: "bad",
  interrupted: "bad",
  inconclusive: "open",
  cancelled: "open",
  running: "open",
  ok: "good",
  breached: "bad",
  complete: "good",
  done: "good",
  complete_with_corruption: "bad",
  damaged: "bad",
  skipped: "open",
  infeasible: "bad",
  warning: "fair",
  P1: "bad",
  P2: "bad",
  P3: "fair",
  P4: "open",
  "can hold": "good",
  "cannot hold": "bad",
};

export function outcomeBadge(outcome: string): Html {
  return badge(OUTCOME_TONES[outcome] ?? "open", outcome.replaceAll("_", " "));
}

export function yesNoBadge(ok: boolean | null, words: { yes: string; no: string; none: string }): Html {
  return ok === null ? badge("open", words.none) : ok ? badge("good", words.yes) : badge("bad", words.no);
}

export interface Table {
  readonly caption: string;
  /** Those whose name ends in `#` are figures, and stand to the right. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly HtmlValue[])[];
  /** What it means that there are no rows. */
  readonly empty: string;
}

/** Every cell knows the name of its column, so that on a narrow screen a row can stand as a list. */
export function table({ caption, columns, rows, empty }: Table): Html {
  if (rows.length === 0) return html`<p class="empty"><strong>${caption}:</strong> ${empty}</p>`;
  const heads = columns.map((column) => ({ name: column.replace(/#$/, ""), kind: column.endsWith("#") ? "figure" : "words" }));
  return html`<table>
    <caption>
      ${caption}
    </caption>
    <thead>
      <tr>
        ${heads.map(({ name, kind }) => html`<th scope="col" class="${kind}">${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            ${row.map((cell, index) => html`<td class="${heads[index]?.kind ?? "words"}" data-label="${heads[index]?.name ?? ""}"><span>${cell}</span></td>`)}
          </tr> `,
      )}
    </tbody>
  </table>`;
}

/** Facts as name and value. */
export function facts(pairs: readonly (readonly [string, HtmlValue])[]): Html {
  return html`<dl class="facts">
    ${pairs.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/** A figure that is meant to be seen first. */
export function tile(name: string, value: HtmlValue, note: HtmlValue = NOTHING): Html {
  return html`<div class="tile">
    <h4>${name}</h4>
    <p class="value">${value}</p>
    <p class="note">${note}</p>
  </div>`;
}

export function list(items: readonly HtmlValue[]): Html {
  return html`<ul>
    ${items.map((item) => html`<li>${item}</li>`)}
  </ul>`;
}
