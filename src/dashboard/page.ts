import { html, NOTHING } from "../compliance/html.ts";
import type { HtmlValue } from "../compliance/html.ts";
import { ASSETS } from "./assets.ts";
import { pathTo } from "./links.ts";

export interface Page {
  readonly title: string;
  /** The heading, where it says more than the title. */
  readonly heading?: HtmlValue;
  /** Stands still while the page is open: forms, above all. */
  readonly still?: HtmlValue;
  /** Kept up to date while the page is open. */
  readonly live: HtmlValue;
  /** Pages that lead here, the outermost first. */
  readonly trail?: readonly { readonly path: string; readonly name: string }[];
}

const SECTIONS = [
  { path: pathTo.overview, name: "Overview" },
  { path: pathTo.alerts, name: "Alerts" },
  { path: pathTo.runs, name: "Runs" },
  { path: pathTo.drills, name: "Drills" },
  { path: pathTo.policies, name: "Policies" },
  { path: pathTo.storage, name: "Storage" },
  { path: pathTo.report, name: "Report" },
  { path: pathTo.audit, name: "Audit" },
] as const;

/** A whole page: the same head, navigation and foot around whatever it shows. `path`: where it is. */
export function renderPage({ title, heading = title, still = NOTHING, live, trail = [] }: Page, { path, version, now }: { path: string; version: string; now: Date }): string {
  const here = trail[0]?.path ?? path;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Holdfast</title>
        <link rel="icon" href="${ASSETS.icon.path}" type="image/svg+xml" />
        <link rel="stylesheet" href="${ASSETS.style.path}" />
        <script src="${ASSETS.script.path}"></script>
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header class="bar">
          <a class="brand" href="/"
            ><svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
              <path d="M10 1.5 17 4v5.5c0 4.3-2.9 7.6-7 9-4.1-1.4-7-4.7-7-9V4z" />
              <path class="tick" d="m6.6 10 2.4 2.5 4.6-5" /></svg
            >Holdfast</a
          >
          <nav aria-label="Main">${SECTIONS.map((section) => html`<a href="${section.path}" ${section.path === here ? html`aria-current="page"` : ""}>${section.name}</a>`)}</nav>
          <button type="button" id="theme" hidden>Theme: auto</button>
        </header>
        <main id="content" tabindex="-1">
          ${trail.length === 0 ? NOTHING : html`<nav class="trail" aria-label="Where you are">${trail.map((step) => html`<a href="${step.path}">${step.name}</a><span aria-hidden="true">›</span>`)}</nav>`}
          <h1>${heading}</h1>
          ${still}
          <div id="live" data-live>${live}</div>
        </main>
        <footer>
          <p>
            Holdfast ${version} · all times are UTC · <span id="freshness">as of <time datetime="${now.toISOString()}">${now.toISOString().slice(11, 19)}</time></span>
          </p>
          <p id="connection" role="status"></p>
        </footer>
      </body>
    </html> `.toString();
}
