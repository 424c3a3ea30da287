import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { REPORT_STYLE } from "../compliance/report-style.ts";
import { DASHBOARD_STYLE } from "./dashboard-style.ts";

/** The three files that pages refer to. Their address holds a digest of what they are, so that a browser keeps them until they change, and never a day longer. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: string;
}

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><path fill="#2f5d8a" d="M10 1.5 17 4v5.5c0 4.3-2.9 7.6-7 9-4.1-1.4-7-4.7-7-9V4z"/><path fill="none" stroke="#fff" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" d="m6.6 10 2.4 2.5 4.6-5"/></svg>';

export const ASSETS = {
  style: asset("dashboard.css", "text/css; charset=utf-8", REPORT_STYLE + DASHBOARD_STYLE),
  script: asset("dashboard.js", "text/javascript; charset=utf-8", readFileSync(new URL("browser/dashboard.js", import.meta.url), "utf8")),
  icon: asset("icon.svg", "image/svg+xml", ICON),
} as const;

function asset(name: string, type: string, body: string): Asset {
  const [base, ending] = name.split(".");
  return { path: `/assets/${base}-${createHash("sha256").update(body).digest("hex").slice(0, 12)}.${ending}`, type, body };
}
