/**
 * Named places at which a test may kill the process as hard as a power cut (SIGKILL), armed by `HOLDFAST_CRASH_AT=<point>[:<nth hit>]`.
 * The list is the truth: a test goes through it and fails if a point was never hit.
 */
export const CRASH_POINTS = [
  "backup.started",
  "backup.copying",
  "backup.copied",
  "backup.stopped",
  "backup.before-wal",
  "backup.before-manifest",
  "backup.after-manifest",
  "wal.before-part",
  "wal.after-part",
  "wal.before-segment",
  "wal.part-to-segment",
  "restore.begun",
  "restore.copying",
  "restore.wal",
  "restore.before-control-file",
  "restore.before-done",
  "expire.after-tombstone",
  "expire.after-manifest",
  "copy.begun",
  "copy.packing",
  "copy.wal",
  "copy.before-manifest",
  "copy.after-manifest",
  "rotate.before-commit",
  "rotate.after-commit",
  "recover.before-record",
] as const;

export type CrashPoint = (typeof CRASH_POINTS)[number];

let armed: { readonly point: string; hitsLeft: number } | null = null;

/** Called once at start, with what the environment says. */
export function armCrashPoint(setting: string | undefined): void {
  if (setting === undefined || setting === "") return;
  const [point = "", nth = "1"] = setting.split(":");
  armed = { point, hitsLeft: Number(nth) };
}

export function crashPoint(point: CrashPoint): void {
  if (armed?.point === point && --armed.hitsLeft === 0) process.kill(process.pid, "SIGKILL");
}
