import type { RetainedBackup } from "./retention.ts";

/**
 * What people want kept whatever the rules say: a pin on a backup, for as long as nobody takes it off; a legal hold on a backup or on a whole source, with what is yet to come.
 * They are the same to retention, and differ in who may take them off, and in that a hold on a source stops its WAL from expiring too.
 */
export interface HoldMark {
  readonly by: string;
  readonly at: string;
  readonly reason: string | null;
}

export const HOLD_ACTIONS = ["pin", "unpin", "hold", "release"] as const;
export type HoldAction = (typeof HOLD_ACTIONS)[number];

/** What is on one backup, or on a whole source. */
export interface HoldState {
  readonly pinned: HoldMark | null;
  readonly held: HoldMark | null;
}

/** All of one source, as one copy tells it. */
export interface SourceHolds {
  /** On the whole source. It is never pinned. */
  readonly all: HoldState;
  readonly backups: ReadonlyMap<string, HoldState>;
}

export const NOT_HELD: HoldState = { pinned: null, held: null };

/** What an action makes of a state; null: it changes nothing, since what it asks for is so already. */
export function afterAction({ pinned, held }: HoldState, action: HoldAction, mark: HoldMark): HoldState | null {
  switch (action) {
    case "pin":
      return pinned === null ? { pinned: mark, held } : null;
    case "unpin":
      return pinned === null ? null : { pinned: null, held };
    case "hold":
      return held === null ? { pinned, held: mark } : null;
    case "release":
      return held === null ? null : { pinned, held: null };
  }
}

/** What is on a backup, by itself or with its whole source. */
export function stateOf({ all, backups }: SourceHolds, backup: string): HoldState {
  const { pinned, held } = backups.get(backup) ?? NOT_HELD;
  return { pinned, held: held ?? all.held };
}

/** What retention looks at. */
export function retained(backup: Omit<RetainedBackup, "pinned" | "held">, holds: SourceHolds): RetainedBackup {
  const { pinned, held } = stateOf(holds, backup.id);
  return { ...backup, pinned: pinned !== null, held: held !== null };
}
