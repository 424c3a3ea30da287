/** The kinds of backup set, strongest first. */
export const BACKUP_TYPES = ["full", "differential", "incremental"] as const;
export type BackupType = (typeof BACKUP_TYPES)[number];

const SUFFIX: Record<BackupType, string> = { full: "full", differential: "diff", incremental: "incr" };

/** UTC and sortable: `20261121T164454Z-full`. */
function backupId(at: Date, type: BackupType): string {
  return `${at.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z-${SUFFIX[type]}`;
}

/** The id for a backup that starts at `at`, later than every id there is: clocks go back, and sorting by id must stay sorting by order. */
export function nextBackupId(at: Date, type: BackupType, existing: readonly string[]): string {
  const newest = timeOfBackupId(existing.toSorted().at(-1) ?? "");
  const earliest = newest === null ? 0 : newest.getTime() + 1000;
  return backupId(new Date(Math.max(at.getTime(), earliest)), type);
}

/** When a backup began, as its id says; null: it is no id. */
export function timeOfBackupId(id: string): Date | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(id);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number];
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

/** Null: it is not the id of a backup. */
export function typeOfBackupId(id: string): BackupType | null {
  const suffix = /^\d{8}T\d{6}Z-([a-z]+)$/.exec(id)?.[1];
  return BACKUP_TYPES.find((type) => SUFFIX[type] === suffix) ?? null;
}

/** `full`, `incr`, `diff` and the long words, as people write them. */
export function parseBackupType(text: string): BackupType | null {
  return BACKUP_TYPES.find((type) => text === type || text === SUFFIX[type]) ?? null;
}
