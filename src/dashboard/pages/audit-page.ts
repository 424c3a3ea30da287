import { html } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { NONE, time } from "../../compliance/report-format.ts";
import { table } from "../../compliance/report-parts.ts";
import { linkTo, pathTo, withQuery } from "../links.ts";
import type { Page } from "../page.ts";
import type { AuditEntry, View } from "../view.ts";

const ENTRIES_A_PAGE = 50;

/** The evidence log of this host: every run, deletion and change, signed and chained to the one before. */
export async function auditPage(view: View): Promise<Page> {
  const head = await view.facts.evidenceHead();
  const asked = Number(view.query["upTo"] ?? "");
  const newest = head?.sequence ?? 0;
  const upTo = Number.isInteger(asked) && asked >= 1 ? Math.min(asked, newest) : newest;
  const entries = newest === 0 ? [] : await view.facts.evidence(upTo, ENTRIES_A_PAGE);
  const shown = entries.filter((entry) => mayBeSeen(entry, view));
  const older = upTo - ENTRIES_A_PAGE;
  return {
    title: "Audit",
    live: html`<p class="lead">
        ${
          head === null
            ? "Nothing is on record yet."
            : html`Entry ${head.sequence} is the newest, written by host <code>${head.writer.slice(0, 16)}</code>. Each names the digest of the one before, so that none can be
                taken out or changed without breaking the chain.`
        }
      </p>
      ${table({
        caption: `Entries ${shown.length === 0 ? "" : `${shown.at(-1)?.sequence} to ${shown[0]?.sequence}`}, the newest first`,
        columns: ["Number#", "At", "What", "Source", "About", "Digest"],
        rows: shown.map(row),
        empty: "none",
      })}
      ${pages(upTo, newest, older)}`,
  };
}

function pages(upTo: number, newest: number, older: number): Html {
  return html`<nav class="pager" aria-label="Pages">
    ${upTo >= newest ? html`<span class="none">Newer</span>` : linkTo(withQuery(pathTo.audit, {}, { upTo: upTo + ENTRIES_A_PAGE >= newest ? null : String(upTo + ENTRIES_A_PAGE) }), "Newer")}
    ${older < 1 ? html`<span class="none">Older</span>` : linkTo(withQuery(pathTo.audit, {}, { upTo: String(older) }), "Older")}
  </nav>`;
}

/** What is of no source (keys, repositories) is shown to those who see everything. */
function mayBeSeen({ facts }: AuditEntry, { sources, seesAll }: View): boolean {
  return seesAll || (typeof facts["source"] === "string" && sources.has(facts["source"]));
}

function row({ sequence, at, kind, facts, sha256 }: AuditEntry): HtmlValue[] {
  const text = (key: string): string | null => (typeof facts[key] === "string" ? facts[key] : null);
  const run = text("run");
  const words = [text("operation"), text("type"), text("outcome"), text("backup"), text("repository"), text("reason")].filter((word) => word !== null).join(", ");
  return [
    sequence,
    time(at),
    kind,
    text("source") ?? NONE,
    run === null ? (words === "" ? NONE : words) : linkTo(pathTo.run(run), words === "" ? run : words),
    html`<code title="${sha256}">${sha256.slice(0, 12)}</code>`,
  ];
}
