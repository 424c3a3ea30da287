/** Markup that is safe by construction: whatever is put into a template is escaped, unless it is markup made by a template itself. */
export class Html {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** Only for text that stands in our own source: style sheets. */
  static trusted(text: string): Html {
    return new Html(text);
  }

  toString(): string {
    return this.#text;
  }
}

/** Null is not among them: what is unknown has to be written in words, by whoever knows what is unknown. */
export type HtmlValue = Html | string | number | readonly HtmlValue[];

/** A template of markup. Values are escaped for text and for attributes in double quotes; there is no safe way to put one anywhere else. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.trusted(strings.reduce((text, part, index) => text + render(values[index - 1] ?? "") + part));
}

export const NOTHING = html``;

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.toString();
  if (typeof value === "object") return value.map(render).join("");
  return escape(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const ESCAPED = /[&<>"'\p{Cc}\p{Bidi_Control}]/u;

function escape(text: string): string {
  if (!ESCAPED.test(text)) return text;
  // Other control characters have no place in a page: they would hide what a name really is.
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "").replaceAll(/[\p{Cc}\p{Bidi_Control}]/gu, "\uFFFD");
}
