import type { Clock } from "../clock.ts";
import type { Identity } from "./identity.ts";

/**
 * What the API puts on record about its use. A change is one entry, before it happens. Refusals and people's reads are told once when they begin and then counted:
 * a flood of wrong tokens is a number, not a full disk. A process that dies loses at most the count of one window.
 */
export type AccessKind = "access.used" | "access.refused" | "access.read" | "access.signed-in" | "access.signed-out";

export type RecordAccess = (kind: AccessKind, facts: Readonly<Record<string, unknown>>) => Promise<void>;

/** Whoever it was, as the entry says it. */
export interface AccessFacts {
  /** Name; null: nobody known. */
  readonly by: string | null;
  readonly id: string | null;
  readonly role: string | null;
  readonly address: string | null;
}

const REFUSED_MINUTES = 15;
const READ_MINUTES = 60;
/** Of different refusals in one window; those beyond are counted together. At most 22 entries in 15 minutes, whatever comes. */
const MOST_REFUSALS = 10;
const OTHERS = "refused others";

interface Tally {
  readonly kind: AccessKind;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Beyond the first, which is on record already. */
  more: number;
  lastMs: number;
  readonly routes: Map<string, number>;
}

export class AccessLog {
  readonly #record: RecordAccess;
  readonly #clock: Clock;
  readonly #onTrouble: (error: unknown) => void;
  readonly #tallies = new Map<string, Tally>();
  /** Entries are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  /** `record` makes an entry durable; it is never asked for two at once. What is only counted may fail to be written: that is told to `onTrouble`, and nobody is kept waiting for it. */
  constructor(record: RecordAccess, clock: Clock, onTrouble: (error: unknown) => void) {
    this.#record = record;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
  }

  /** Resolves when it is on record: only then may it be done. */
  async used(identity: Identity, action: string, facts: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#write("access.used", { ...factsOf(identity, null), action, ...facts });
  }

  async signedIn(identity: Identity, address: string): Promise<void> {
    await this.#write("access.signed-in", { ...factsOf(identity, address) });
  }

  async signedOut(identity: Identity, address: string): Promise<void> {
    await this.#write("access.signed-out", { ...factsOf(identity, address) });
  }

  async refused(why: string, facts: AccessFacts, route: string): Promise<void> {
    const key = `refused ${JSON.stringify([why, facts.id, facts.address])}`;
    const isNew = !this.#tallies.has(key);
    const isFull = isNew && [...this.#tallies.values()].filter(({ kind }) => kind === "access.refused").length >= MOST_REFUSALS;
    if (isFull) await this.#count(OTHERS, "access.refused", { why: "several", by: null, id: null, role: null, address: null }, route, REFUSED_MINUTES);
    else await this.#count(key, "access.refused", { why, ...facts }, route, REFUSED_MINUTES);
  }

  async read(identity: Identity, route: string): Promise<void> {
    await this.#count(`read ${identity.kind} ${identity.id}`, "access.read", { ...factsOf(identity, null) }, route, READ_MINUTES);
  }

  /** Puts on record what has been counted in windows that are over; or in all. */
  async flush(which: "due" | "all"): Promise<void> {
    const nowMs = this.#clock.now().getTime();
    for (const [key, tally] of this.#tallies) {
      if (which === "due" && tally.untilMs > nowMs && tally.sinceMs <= nowMs) continue;
      this.#tallies.delete(key);
      if (tally.more > 0) await this.#try(tally.kind, { ...tally.facts, count: tally.more, ...windowOf(tally), routes: Object.fromEntries(tally.routes) });
    }
  }

  async #count(key: string, kind: AccessKind, facts: Readonly<Record<string, unknown>>, route: string, minutes: number): Promise<void> {
    await this.flush("due");
    const nowMs = this.#clock.now().getTime();
    const tally = this.#tallies.get(key);
    if (tally !== undefined) {
      tally.more++;
      tally.lastMs = nowMs;
      tally.routes.set(route, (tally.routes.get(route) ?? 0) + 1);
      return;
    }
    const opened = { kind, facts, sinceMs: nowMs, untilMs: nowMs + minutes * 60_000, more: 0, lastMs: nowMs, routes: new Map<string, number>() };
    this.#tallies.set(key, opened);
    await this.#try(kind, { ...facts, count: 1, ...windowOf(opened), routes: { [route]: 1 } });
  }

  async #try(kind: AccessKind, facts: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#write(kind, facts).catch(this.#onTrouble);
  }

  async #write(kind: AccessKind, facts: Readonly<Record<string, unknown>>): Promise<void> {
    const written = this.#writing.then(async () => this.#record(kind, facts));
    this.#writing = written.catch(() => undefined);
    return written;
  }
}

function windowOf({ sinceMs, lastMs }: Pick<Tally, "sinceMs" | "lastMs">): { firstAt: string; lastAt: string } {
  return { firstAt: new Date(sinceMs).toISOString(), lastAt: new Date(lastMs).toISOString() };
}

export function factsOf({ name, id, role }: Identity, address: string | null): AccessFacts {
  return { by: name, id, role, address };
}
