import type { ScaleTime } from "d3-scale";
import { symbol, symbolCircle, symbolDiamond, symbolTriangle } from "d3-shape";
import type { SymbolType } from "d3-shape";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { counted } from "../../domain/control-wording.ts";
import type { SourceInfo, WindowView } from "../../domain/source-info.ts";
import { chart, percent, round, timeAxis, timeScale } from "./chart.ts";
import type { Span } from "./chart.ts";

const ROW = 34;
const TOP = 6;

/** What can be brought back: every backup as a mark, and for each copy the stretches of time travel, with what lies between them drawn as the gap it is. */
export function recoveryChart(source: string, info: SourceInfo, span: Span): Html {
  // A little room on both sides: a mark at the very edge would be cut in half.
  const roomMs = (span.to.getTime() - span.from.getTime()) * 0.015;
  const x = timeScale({ from: new Date(span.from.getTime() - roomMs), to: new Date(span.to.getTime() + roomMs) });
  const repositories = [...new Set([...info.windows.map(({ repository }) => repository), ...info.backups.flatMap(({ copies }) => copies.map(({ repository }) => repository))])];
  const rows = repositories.map((repository, index) => ({ repository, middle: TOP + ROW * index + ROW / 2 + 7 }));
  const bottom = TOP + ROW * rows.length + 4;
  return chart({
    kind: "recovery",
    heightPx: bottom + 20,
    label: labelOf(source, info, repositories),
    stretched: "",
    lettered: html`${timeAxis(x, TOP, bottom)}
    ${rows.map(({ repository, middle }) => [
      html`<text class="row-name" x="0.4%" y="${middle - 13}">${repository}</text>`,
      windowsOf(info, repository, x, middle),
      info.backups
        .filter(({ copies }) => copies.some((copy) => copy.repository === repository && copy.state !== "failed"))
        .map((backup) => backupMark(backup.type, percent(x(new Date(backup.finishedAt))), middle, backup.id)),
    ])}`,
  });
}

function windowsOf(info: SourceInfo, repository: string, x: ScaleTime<number, number>, middle: number): Html {
  const windows = info.windows.filter((window) => window.repository === repository && window.to !== null).toSorted((a, b) => a.from.localeCompare(b.from));
  const bars = windows.map((window) => bar("window", stretchOf(window), x, middle, 6));
  const gaps = windows.flatMap((window, index) => {
    const next = windows[index + 1];
    return next === undefined || window.to === null || next.from <= window.to ? [] : [bar("gap", { from: new Date(window.to), to: new Date(next.from) }, x, middle, 9)];
  });
  return html`${bars}${gaps}`;
}

function stretchOf({ from, to }: WindowView): Span {
  return { from: new Date(from), to: new Date(to ?? from) };
}

/** At least a line: a stretch of minutes in a month is there too. */
function bar(kind: string, { from, to }: Span, x: ScaleTime<number, number>, middle: number, height: number): Html {
  const [left, right] = [Math.max(0, percent(x(from))), Math.min(100, percent(x(to)))];
  return html`<rect class="${kind}" x="${left}%" y="${middle - height / 2}" width="${Math.max(0.15, round(right - left))}%" height="${height}" />`;
}

const MARKS: Readonly<Record<BackupType, { readonly type: SymbolType; readonly size: number }>> = {
  full: { type: symbolDiamond, size: 70 },
  differential: { type: symbolTriangle, size: 50 },
  incremental: { type: symbolCircle, size: 38 },
};

/** The sign of a kind of backup: by shape, and so without colour too. Moved by a nested SVG, which alone takes percentages. */
export function backupMark(type: BackupType, xPercent: number, y: number, title: string): Html {
  const { type: kind, size } = MARKS[type];
  return html`<svg x="${xPercent}%" y="${y}" overflow="visible">
    <path class="mark ${type}" d="${symbol(kind, size).digits(1)() ?? ""}"><title>${title}</title></path>
  </svg>`;
}

/** The signs, for the legend. */
export function markLegend(): Html {
  return html`<p class="legend" aria-hidden="true">
    ${(["full", "differential", "incremental"] as const).map(
      (type) =>
        html`<span
          ><svg width="14" height="14">
            <svg x="7" y="7" overflow="visible"><path class="mark ${type}" d="${symbol(MARKS[type].type, MARKS[type].size).digits(1)() ?? ""}" /></svg></svg
          >${type}</span
        >`,
    )}
    <span
      ><svg width="22" height="14"><rect class="window" y="4" width="22" height="6" /></svg>any moment</span
    >
    <span
      ><svg width="22" height="14"><rect class="gap" y="2" width="22" height="10" /></svg>cannot be brought back</span
    >
  </p>`;
}

function labelOf(source: string, { backups, windows, gaps }: SourceInfo, repositories: readonly string[]): string {
  return `What can be brought back of ${source}: ${counted(backups.length, "backup")} in ${repositories.length === 0 ? "no repository" : repositories.join(" and ")}, ${counted(windows.length, "stretch", "stretches")} of time travel, ${counted(gaps.length, "gap")} in the WAL`;
}
