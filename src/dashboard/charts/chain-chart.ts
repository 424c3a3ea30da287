import { linkHorizontal } from "d3-shape";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import type { SourceInfo } from "../../domain/source-info.ts";
import { CANVAS_WIDTH, chart, pathOf, percent } from "./chart.ts";
import { backupMark } from "./recovery-chart.ts";

type Backup = SourceInfo["backups"][number];

const LANES: readonly BackupType[] = ["full", "differential", "incremental"];
/** Room for the name of the lane above its marks: beside them there is none on a phone. */
const LANE_PX = 48;
const TOP = 14;
const LEFT = 24;

/** Which backup was made from which: a lane for each kind, the oldest to the left, a line from each to its parent. A parent that is not in the picture is hinted at. */
export function chainChart(source: string, backups: readonly Backup[]): Html {
  const placed = backups.toSorted((a, b) => a.startedAt.localeCompare(b.startedAt)).map((backup, index) => ({ backup, ...placeOf(backup, index, backups.length) }));
  const byId = new Map(placed.map((place) => [place.backup.id, place]));
  const links = placed.flatMap(({ backup, x, y }) => {
    if (backup.parentId === null) return [];
    const parent = byId.get(backup.parentId);
    const from: [number, number] = parent === undefined ? [x - 30, y] : [parent.x, parent.y];
    return [pathOf("link", linkHorizontal()({ source: from, target: [x, y] }))];
  });
  return chart({
    kind: "chain",
    heightPx: TOP + LANE_PX * LANES.length,
    label: `The chain of the newest ${backups.length} backups of ${source}; the table below names the parent of each`,
    stretched: links,
    lettered: html`${LANES.map((type, lane) => html`<text class="row-name" x="0.4%" y="${laneY(lane) - 11}">${type}</text>`)}
    ${placed.map(({ backup, x, y }) => backupMark(backup.type, percent(x), y, backup.id))}`,
  });
}

function placeOf({ type }: Backup, index: number, total: number): { x: number; y: number } {
  const room = CANVAS_WIDTH - LEFT - 30;
  return { x: LEFT + (total === 1 ? 0 : (index / (total - 1)) * room), y: laneY(LANES.indexOf(type)) };
}

function laneY(lane: number): number {
  return TOP + LANE_PX * lane + LANE_PX / 2;
}
