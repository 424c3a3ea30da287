import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Clears away what is no longer needed as soon as it is more than `mostBytes` beyond what was needed last. By itself V8 begins when there is a quarter of a gigabyte of it: for work that goes through gigabytes
 * and needs little at a time, that is most of the memory that it takes.
 */
export class ClearAway {
  readonly #mostBytes: number;
  readonly #collect: () => void;
  #neededBytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    this.#collect = typeof collect === "function" ? () => void Reflect.apply(collect, undefined, []) : () => undefined;
  }

  /** Takes some ten microseconds where there is nothing to do. */
  now(): void {
    if (usedBytes() < this.#neededBytes + this.#mostBytes) return;
    this.#collect();
    this.#neededBytes = usedBytes();
  }
}

function usedBytes(): number {
  return getHeapStatistics().used_heap_size;
}
