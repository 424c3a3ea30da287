import { html, NOTHING } from "../compliance/html.ts";
import type { Html, HtmlValue } from "../compliance/html.ts";
import type { PageQuery } from "./view.ts";

/** Addresses of pages, in one place. Names come from configuration and history: each part is encoded. */
export const pathTo = {
  overview: "/",
  alerts: "/alerts",
  runs: "/runs",
  drills: "/drills",
  policies: "/policies",
  storage: "/storage",
  report: "/report",
  audit: "/audit",
  source: (name: string): string => `/sources/${encodeURIComponent(name)}`,
  backup: (source: string, id: string): string => `/sources/${encodeURIComponent(source)}/backups/${encodeURIComponent(id)}`,
  run: (id: string): string => `/runs/${encodeURIComponent(id)}`,
} as const;

/** Where whoever is not known signs in, and comes back from. */
export function signInPath({ method, url }: { readonly method: string; readonly url: string }): string {
  return method !== "GET" || url === pathTo.overview ? "/sign-in" : `/sign-in?${new URLSearchParams({ next: url }).toString()}`;
}

export function linkTo(path: string, text: HtmlValue): Html {
  return html`<a href="${path}">${text}</a>`;
}

/** The same page asked for something else: `null` takes a part of the question away. */
export function withQuery(path: string, query: PageQuery, change: Readonly<Record<string, string | null>>): string {
  const parts = Object.entries({ ...query, ...change }).filter((part): part is [string, string] => part[1] !== null && part[1] !== "");
  return parts.length === 0 ? path : `${path}?${new URLSearchParams(parts).toString()}`;
}

/** To the page before and after. */
export function pager(path: string, query: PageQuery, { page, hasMore, of = null }: { page: number; hasMore: boolean; of?: number | null }): Html {
  if (page === 0 && !hasMore) return NOTHING;
  const at = (number: number): string => withQuery(path, query, { page: number === 0 ? null : String(number + 1) });
  return html`<nav class="pager" aria-label="Pages">
    ${page === 0 ? html`<span class="none">Previous</span>` : html`<a rel="prev" href="${at(page - 1)}">Previous</a>`}
    <span>page ${page + 1}${of === null ? "" : ` of ${of}`}</span>
    ${hasMore ? html`<a rel="next" href="${at(page + 1)}">Next</a>` : html`<span class="none">Next</span>`}
  </nav>`;
}
