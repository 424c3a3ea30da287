/** How long backups of one type are kept. A backup is kept while any of these wants it. */
export interface RetentionRule {
  /** Age up to which every backup is kept. */
  readonly keepForSeconds: number | null;
  /** The newest n are kept, however old. */
  readonly keepLast: number | null;
  /** Grandfather-father-son: the last backup of each of the newest n days, ISO weeks, months, years (UTC) that have one. */
  readonly daily: number | null;
  readonly weekly: number | null;
  readonly monthly: number | null;
  readonly yearly: number | null;
}
