import type { BackupType } from "./backup-id.ts";
import { median } from "./median.ts";

/** Whether a backup is about as large as others of its type and source: one that is far from them is whole and may still not be what somebody wants to restore. */
export interface SizeCheck {
  /** `unknown`: there are too few before it to say. */
  readonly verdict: "usual" | "unusual" | "unknown";
  /** How many backups it is compared with. */
  readonly history: number;
  /** Of what it was made of, and of what it takes. */
  readonly sourceMedianBytes: number | null;
  readonly storedMedianBytes: number | null;
  /** In words; null: nothing is unusual. */
  readonly reason: string | null;
}

export interface Sized {
  readonly type: BackupType;
  readonly sourceBytes: number;
  readonly storedBytes: number;
}

/** Compared with the median of so many of its type before it, and with no fewer than this. */
const LAST = 7;
const FEWEST = 3;
const SHARE = { least: 0.5, most: 2 } as const;
/** A difference that small is one of rounding: an incremental of an idle database is a few kilobytes, or twice as many. */
const NOTHING_BYTES = 16 * 2 ** 20;

/** `before`: backups of its source, oldest first; other types among them are left out. */
export function checkSize(backup: Sized, before: readonly Sized[]): SizeCheck {
  const last = before.filter(({ type }) => type === backup.type).slice(-LAST);
  if (last.length < FEWEST) return { verdict: "unknown", history: last.length, sourceMedianBytes: null, storedMedianBytes: null, reason: null };
  const sourceMedianBytes = median(last.map(({ sourceBytes }) => sourceBytes));
  const storedMedianBytes = median(last.map(({ storedBytes }) => storedBytes));
  const reasons = [
    ...compare(`the source had ${backup.sourceBytes} bytes`, backup.sourceBytes, sourceMedianBytes),
    ...compare(`it takes ${backup.storedBytes} bytes`, backup.storedBytes, storedMedianBytes),
  ];
  const reason = reasons.length === 0 ? null : reasons.join("; ");
  return { verdict: reason === null ? "usual" : "unusual", history: last.length, sourceMedianBytes, storedMedianBytes, reason };
}

function compare(what: string, bytes: number, medianBytes: number): string[] {
  if (Math.abs(bytes - medianBytes) < NOTHING_BYTES || (bytes >= SHARE.least * medianBytes && bytes <= SHARE.most * medianBytes)) return [];
  const share = medianBytes === 0 ? "" : `, ${Math.round((100 * bytes) / medianBytes)} %`;
  return [`${what}${share} of the usual ${medianBytes}`];
}
