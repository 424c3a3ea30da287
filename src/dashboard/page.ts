import { html, NOTHING } from "../compliance/html.ts";
import type { Html, HtmlValue } from "../compliance/html.ts";
import { mayDo } from "../domain/access.ts";
import { ASSETS } from "./assets.ts";
import { pathTo } from "./links.ts";
import type { Who } from "./view.ts";

export interface Page {
  readonly title: string;
  /** The heading, where it says more than the title. */
  readonly heading?: HtmlValue;
  /** Stands still while the page is open: forms, above all. */
  readonly still?: HtmlValue;
  /** Kept up to date while the page is open. Left out: nothing on it changes. */
  readonly live?: HtmlValue;
  /** A page that is laid out otherwise than the others: its class in the style sheet. */
  readonly shape?: "sign-in-page";
  /** Pages that lead here, the outermost first. */
  readonly trail?: readonly { readonly path: string; readonly name: string }[];
}

interface Frame {
  /** Where it is. */
  readonly path: string;
  readonly version: string;
  readonly now: Date;
  /** Who looks; null: nobody is known. */
  readonly who: Who | null;
  /** Of those that whoever looks may see. */
  readonly openAlerts: number;
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

/** A whole page: the same head, navigation and foot around whatever it shows. */
export function renderPage({ title, heading = title, still = NOTHING, live, trail = [], shape }: Page, { path, version, now, who, openAlerts }: Frame): string {
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
          ${navigation(who, here, openAlerts)} ${signedIn(who)}
          <button type="button" id="theme" hidden>Theme: auto</button>
        </header>
        <main id="content" tabindex="-1" class="${shape ?? ""}">
          ${trail.length === 0 ? NOTHING : html`<nav class="trail" aria-label="Where you are">${trail.map((step) => html`<a href="${step.path}">${step.name}</a><span aria-hidden="true">›</span>`)}</nav>`}
          <h1 id="heading">${heading}</h1>
          ${still} ${live === undefined ? NOTHING : html`<div id="live">${live}</div>`}
        </main>
        <footer>
          <p>
            Holdfast ${version} · all times are UTC · <span id="freshness">as of <time datetime="${now.toISOString()}">${now.toISOString().slice(11, 19)}</time></span>
          </p>
        </footer>
        <div id="notices">
          <p id="connection" role="status"></p>
          <p id="news" role="status"></p>
        </div>
      </body>
    </html> `.toString();
}

/** Only what whoever looks may open. Whoever is not known yet is not led anywhere. */
function navigation(who: Who | null, here: string, openAlerts: number): Html {
  if (who === null || !mayDo(who.role, "look")) return html`<span class="space"></span>`;
  const sections = SECTIONS.filter(({ path }) => path !== pathTo.audit || mayDo(who.role, "audit"));
  const link = ({ path, name }: (typeof SECTIONS)[number]): Html =>
    html`<a href="${path}" ${path === here ? html`aria-current="page"` : ""}
      >${name}${path === pathTo.alerts ? html`<span id="open-alerts">${openAlerts === 0 ? NOTHING : html` <span class="open-alerts">${openAlerts}<span class="spoken"> open</span></span>`}</span>` : NOTHING}</a
    >`;
  return html`<nav aria-label="Main">${sections.map(link)}</nav>`;
}

function signedIn(who: Who | null): Html {
  if (who === null) return NOTHING;
  if (who.isAnybody) return html`<span class="who">demonstration</span>`;
  const name = html`<span class="who"><span class="spoken">Signed in as </span>${who.name} <span class="of">${who.role}</span></span>`;
  if (who.csrf === null) return name;
  return html`<form class="who" method="post" action="/sign-out">
    ${name}
    <input type="hidden" name="csrf" value="${who.csrf}" />
    <button type="submit">Sign out</button>
  </form>`;
}
