import type { ServerResponse } from "node:http";
import type { Catalog } from "../catalog/catalog.ts";
import { catalogEpoch, eventRange, eventsAfter } from "../catalog/events.ts";
import type { CatalogEvent } from "../catalog/events.ts";
import { readProgress } from "../catalog/run-progress.ts";
import type { RunProgress } from "../catalog/run-progress.ts";

/**
 * Server-sent events, from the catalog: what another process put on record is told too, and a client that comes back with the id of its last event misses nothing, also across a restart.
 * Nothing is kept for a client but where it is; one that does not read fast enough is let go, and comes back to where it was.
 * How far runs have come (`run.progress`) is told beside that, without an id: what somebody missed of it, the next word makes good.
 */
export interface FeedClient {
  readonly raw: ServerResponse;
  /** Sources it is told of; null: all, and what is of no source. */
  readonly names: readonly string[] | null;
  /** Whether it may still be told: its token may have been revoked. */
  readonly mayListen: () => boolean;
}

interface Listener extends FeedClient {
  at: number;
  quietSinceMs: number;
}

const LOOK_EVERY_MS = 500;
const HEARTBEAT_MS = 15_000;
/** Thousands of events that nobody has taken from the socket. */
const MOST_UNREAD_BYTES = 1024 * 1024;
const MOST_AT_ONCE = 200;
const MOST_CLIENTS = 200;

export class EventFeed {
  readonly #catalog: Catalog;
  readonly #monotonicMs: () => number;
  readonly #onTrouble: (error: unknown) => void;
  readonly #listeners = new Set<Listener>();
  readonly #epoch: string;
  /** When each run that is going on last said how far it is, as it was told. */
  #toldProgress: ReadonlyMap<string, string> = new Map();
  #timer: NodeJS.Timeout | null = null;

  constructor(catalog: Catalog, monotonicMs: () => number, onTrouble: (error: unknown) => void) {
    this.#catalog = catalog;
    this.#monotonicMs = monotonicMs;
    this.#onTrouble = onTrouble;
    this.#epoch = catalogEpoch(catalog);
  }

  get isFull(): boolean {
    return this.#listeners.size >= MOST_CLIENTS;
  }

  /** `lastEventId`: what the client was told last; null: it begins now. The head of the answer has been sent. */
  add(client: FeedClient, lastEventId: string | null): void {
    const { at, isReset } = this.#placeOf(lastEventId);
    const listener = { ...client, at, quietSinceMs: this.#monotonicMs() };
    this.#listeners.add(listener);
    client.raw.on("close", () => void this.#listeners.delete(listener));
    // With where it is, also before anything has happened: it may have to come back before anything does.
    client.raw.write(`retry: 2000\nevent: ${isReset ? "reset" : "ready"}\n${this.#idLine(at)}data: {}\n\n`);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    this.#tell(listener, []);
  }

  /** Ends all streams; clients come back by themselves. */
  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const { raw } of this.#listeners) raw.end();
    this.#listeners.clear();
  }

  #look(): void {
    try {
      const moved = this.#movedRuns();
      for (const listener of this.#listeners) this.#tell(listener, moved);
    } catch (error) {
      // The catalog does not answer: the next look may find it.
      this.#onTrouble(error);
    }
    if (this.#listeners.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #movedRuns(): RunProgress[] {
    const progress = readProgress(this.#catalog);
    const moved = progress.filter(({ run, at }) => this.#toldProgress.get(run) !== at);
    this.#toldProgress = new Map(progress.map(({ run, at }) => [run, at]));
    return moved;
  }

  #tell(listener: Listener, moved: readonly RunProgress[]): void {
    const { raw, names } = listener;
    if (raw.writableLength > MOST_UNREAD_BYTES) {
      raw.destroy();
      return;
    }
    const events = eventsAfter(this.#catalog, listener.at, MOST_AT_ONCE);
    const isFor = ({ source }: { readonly source: string | null }): boolean => names === null || (source !== null && names.includes(source));
    const told = [...events.filter(isFor).map((event) => this.#textOf(event)), ...moved.filter(isFor).map(textOfProgress)];
    listener.at = events.at(-1)?.id ?? listener.at;
    const nowMs = this.#monotonicMs();
    const isQuiet = nowMs - listener.quietSinceMs >= HEARTBEAT_MS;
    if (told.length === 0 && !isQuiet) return;
    listener.quietSinceMs = nowMs;
    if (!listener.mayListen()) {
      raw.end();
      return;
    }
    // The id of where it is comes along with the heartbeat, past what it was not told.
    raw.write(told.length === 0 ? `${this.#idLine(listener.at)}: still here\n\n` : told.join(""));
  }

  #textOf({ id, at, kind, source, data }: CatalogEvent): string {
    return `${this.#idLine(id)}event: ${kind}\ndata: ${JSON.stringify({ at, source, ...data, event: kind })}\n\n`;
  }

  #idLine(id: number): string {
    return `id: ${this.#epoch}-${id}\n`;
  }

  /** Where a client goes on. What it may have missed for good (another catalog, or away for too long) it asks for anew: `reset`. */
  #placeOf(lastEventId: string | null): { at: number; isReset: boolean } {
    const range = eventRange(this.#catalog);
    const last = range?.last ?? 0;
    if (lastEventId === null) return { at: last, isReset: false };
    const [, epoch, id] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastEventId) ?? [];
    const at = Number(id);
    if (epoch !== this.#epoch || at > last || (range !== null && at < range.first - 1)) return { at: last, isReset: true };
    return { at, isReset: false };
  }
}

function textOfProgress(progress: RunProgress): string {
  return `event: run.progress\ndata: ${JSON.stringify({ ...progress, event: "run.progress" })}\n\n`;
}
