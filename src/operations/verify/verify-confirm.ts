import type { CopyView } from "../copy-view.ts";
import type { Damage, DamageReport } from "./verify-report.ts";

/** What is there now, and what its structure says. */
export interface SecondLook {
  /** Null: nothing can be said of the source. */
  readonly view: Pick<CopyView, "listing" | "inventory" | "wasExpired"> | null;
  readonly report: DamageReport;
}

/**
 * Verification takes long, and the repository lives: backups and WAL expire, parts become segments. So what was found missing counts only if it is missed now too.
 * What was found damaged counts always: objects never change.
 */
export function confirmDamage(found: DamageReport, { view, report }: SecondLook): Damage[] {
  const confirmed = found.found.filter((damage) => damage.kind === "damaged" || view === null || report.has(damage.object) || isMissed(damage.object, view));
  const seen = new Set(confirmed.map(({ object }) => object));
  return [...confirmed, ...report.found.filter(({ object, kind }) => kind === "damaged" && !seen.has(object))];
}

const PART = /\/parts\/([0-9A-F]{24})\/[^/]*$/;
const SEGMENT = /\/([0-9A-F]{24})(-[0-9a-f]{32})?$/;
const SUMMARY = /\/summaries\/([0-9A-F]{24})\./;
const BACKUP_OBJECT = /\/backups\/(\d{8}T\d{6}Z-(?:full|diff|incr))\//;

/** Whether an object that was not there when it was opened should be there. The second look at structure has told already which manifests, indexes and stretches of WAL are missing. */
function isMissed(object: string, view: NonNullable<SecondLook["view"]>): boolean {
  const backup = BACKUP_OBJECT.exec(object)?.[1];
  if (backup !== undefined) return view.listing.backups.some(({ manifest }) => manifest.id === backup);
  const part = PART.exec(object)?.[1];
  // Taken up by its segment, or by a larger part: whether those reach as far is said by structure.
  if (part !== undefined) return view.inventory.parts.get(part)?.objects.includes(object) ?? false;
  const summarised = SUMMARY.exec(object)?.[1];
  if (summarised !== undefined) return view.inventory.segments.has(summarised) && !view.wasExpired(summarised);
  const segment = SEGMENT.exec(object);
  if (segment?.[1] === undefined) return !/\/manifests\/|\/index\//.test(object);
  if (view.wasExpired(segment[1])) return false;
  return segment[2] !== undefined || !view.inventory.segments.has(segment[1]);
}
