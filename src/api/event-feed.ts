import type { ServerResponse } from "node:http";
import type { Catalog } from "../catalog/catalog.ts";
import { catalogEpoch, eventRange, eventsAfter } from "../catalog/events.ts";
import type { CatalogEvent } from "../catalog/events.ts";

/**
 * Server-sent events, from the catalog: what another process put on record is told too, and a client that comes back with the id of its last event misses nothing, also across a restart.
 * Nothing is kept for a client but where it is; one that does not read fast enough is let go, and comes back to where it was.
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
    client.raw.write(`retry: 2000\n${isReset ? `event: reset\n${this.#idLine(at)}data: {}\n` : ": welcome\n"}\n`);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    this.#tell(listener);
  }

  /** Ends all streams; clients come back by themselves. */
  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const { raw } of this.#listeners) raw.end();
    this.#listeners.clear();
  }

  #look(): void {
    try {
      for (const listener of this.#listeners) this.#tell(listener);
    } catch (error) {
      // The catalog does not answer: the next look may find it.
      this.#onTrouble(error);
    }
    if (this.#listeners.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tell(listener: Listener): void {
    const { raw, names } = listener;
    if (raw.writableLength > MOST_UNREAD_BYTES) {
      raw.destroy();
      return;
    }
    const events = eventsAfter(this.#catalog, listener.at, MOST_AT_ONCE);
    const told = events.filter(({ source }) => names === null || (source !== null && names.includes(source)));
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
    raw.write(told.length === 0 ? `${this.#idLine(listener.at)}: still here\n\n` : told.map((event) => this.#textOf(event)).join(""));
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
