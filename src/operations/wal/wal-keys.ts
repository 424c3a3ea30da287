import type { Clock } from "../../clock.ts";
import type { SealedKey } from "../../repository/key-ring.ts";
import type { WritableRepository } from "../../repository/repository.ts";

const HOUR_MS = 3_600_000;

/** The data key for WAL: a new one every hour, per repository, so that one key never protects more than an hour. */
export class WalKeys {
  readonly #clock: Clock;
  readonly #keys = new Map<string, { key: Promise<SealedKey>; since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  for(repository: WritableRepository): Promise<SealedKey> {
    const now = this.#clock.monotonicMs();
    const held = this.#keys.get(repository.repositoryId);
    if (held !== undefined && now - held.since < HOUR_MS) return held.key;
    const key = repository.keyRing.sealNew();
    this.#keys.set(repository.repositoryId, { key, since: now });
    return key;
  }
}
