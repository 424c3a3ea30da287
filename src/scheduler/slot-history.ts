import type { Catalog } from "../catalog/catalog.ts";
import { listPauses, stretchOf } from "../catalog/pauses.ts";
import { firstSuccess, newestSlot } from "../catalog/runs.ts";
import type { NewestSlot } from "../catalog/runs.ts";
import type { Clock } from "../clock.ts";
import type { Pause } from "../domain/pause.ts";
import type { FailedAttempt, ScheduleHistory } from "./find-due.ts";
import type { TaskOperation } from "./tasks.ts";

/** What another process puts on record is seen after this long at the latest; what our own jobs do is read at once. */
const KEEP_MS = 60_000;

/** A slot further ahead than this was written by a clock that was wrong: it must not hold back what is really due. */
const MOST_AHEAD_MS = 86_400_000;

/** Slots that were dealt with longer ago than this are not looked at for pauses. */
const PAUSES_DAYS = 400;

/** Outcomes after which a slot is tried again. */
const UNSUCCESSFUL: readonly string[] = ["failed", "interrupted", "cancelled"];

interface OfSource {
  /** By operation, then by type. */
  readonly newest: Map<TaskOperation, Map<string | null, NewestSlot | null>>;
  readAtMs: number;
  firstBackupAt: Date | null;
}

/** The history as the scheduler asks for it, twice a second for each of a thousand sources: kept, and read again when something happened. */
export class SlotHistory {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #sources = new Map<string, OfSource>();

  constructor(catalog: Catalog, clock: Clock) {
    this.#catalog = catalog;
    this.#clock = clock;
  }

  of(source: string): ScheduleHistory {
    const state = this.#fresh(source);
    return {
      lastHandled: (operation, type) => this.#newest(source, state, operation, type)?.slot ?? null,
      lastFailure: (operation, type) => failureOf(this.#newest(source, state, operation, type)),
      firstBackupAt: (state.firstBackupAt ??= firstSuccess(this.#catalog, source, "backup")),
    };
  }

  /** Something of this kind was put on record. */
  forget(source: string, operation: TaskOperation, type: string | null): void {
    this.#sources.get(source)?.newest.get(operation)?.delete(type);
  }

  /** As above, by one who knows what was put on record. */
  remember(source: string, operation: TaskOperation, type: string | null, newest: NewestSlot): void {
    ofOperation(this.#fresh(source), operation).set(type, newest);
  }

  #fresh(source: string): OfSource {
    const now = this.#clock.monotonicMs();
    let state = this.#sources.get(source);
    if (state === undefined) this.#sources.set(source, (state = { newest: new Map(), readAtMs: now, firstBackupAt: null }));
    if (now - state.readAtMs > KEEP_MS) {
      state.newest.clear();
      state.readAtMs = now;
    }
    return state;
  }

  #newest(source: string, state: OfSource, operation: TaskOperation, type: string | null): NewestSlot | null {
    const newest = ofOperation(state, operation);
    const kept = newest.get(type);
    if (kept !== undefined) return kept;
    const read = newestSlot(this.#catalog, { source, operation, type }, new Date(this.#clock.now().getTime() + MOST_AHEAD_MS));
    newest.set(type, read);
    return read;
  }
}

/** Pauses by source: past ones too, as slots that fell into them may not be on record yet. */
export function pausesBySource(catalog: Catalog, now: Date): ReadonlyMap<string, readonly Pause[]> {
  const records = listPauses(catalog, new Date(now.getTime() - PAUSES_DAYS * 86_400_000));
  return new Map([...Map.groupBy(records, ({ source }) => source)].map(([source, own]) => [source, own.map(stretchOf)]));
}

function ofOperation({ newest }: OfSource, operation: TaskOperation): Map<string | null, NewestSlot | null> {
  let types = newest.get(operation);
  if (types === undefined) newest.set(operation, (types = new Map<string | null, NewestSlot | null>()));
  return types;
}

function failureOf(newest: NewestSlot | null): FailedAttempt | null {
  const endedAt = newest?.endedAt ?? null;
  if (newest === null || endedAt === null || !newest.retryable || !UNSUCCESSFUL.includes(newest.outcome)) return null;
  return { slot: newest.slot, attempt: newest.attempt, endedAt };
}
