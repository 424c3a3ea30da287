import { setImmediate } from "node:timers/promises";
import { readSnapshot } from "../catalog/snapshots.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { SourceInfo } from "../domain/source-info.ts";

/** What of a backup counts for storage: a thousand sources have tens of thousands of them. */
export interface StoredBackup {
  readonly finishedAt: string;
  readonly sourceBytes: number;
  readonly storedBytes: number;
  /** Once for every copy that holds it. */
  readonly storedInAll: number;
}

export interface StoredSource {
  readonly name: string;
  /** Null: nobody looked yet. */
  readonly backups: readonly StoredBackup[] | null;
}

/** What is stored changes with the hours; to read it of a thousand sources is a second's work. */
const HOLD_MS = 60_000;
/** Between two pauses in which others are answered. */
const SOURCES_AT_ONCE = 10;

/** What each source has stored, read again at most once a minute, and in turns: whoever asks meanwhile waits for the same reading. */
export function storedOf(catalog: Catalog, names: readonly string[], clock: Clock): () => Promise<readonly StoredSource[]> {
  let held: { readonly untilMs: number; readonly stored: Promise<readonly StoredSource[]> } | null = null;
  return async () => {
    const nowMs = clock.monotonicMs();
    if (held === null || nowMs >= held.untilMs) {
      const reading = { untilMs: nowMs + HOLD_MS, stored: readStored(catalog, names) };
      held = reading;
      // What could not be read is not held.
      reading.stored.catch(() => {
        if (held === reading) held = null;
      });
    }
    return held.stored;
  };
}

async function readStored(catalog: Catalog, names: readonly string[]): Promise<readonly StoredSource[]> {
  const stored: StoredSource[] = [];
  for (const [index, name] of names.entries()) {
    if (index % SOURCES_AT_ONCE === SOURCES_AT_ONCE - 1) await setImmediate();
    stored.push({ name, backups: readSnapshot(catalog, name)?.info.backups.map(storedBackup) ?? null });
  }
  return stored;
}

function storedBackup({ finishedAt, sourceBytes, storedBytes, copies }: SourceInfo["backups"][number]): StoredBackup {
  return { finishedAt, sourceBytes, storedBytes, storedInAll: storedBytes * copies.filter(({ state }) => state !== "failed").length };
}
