/** What may be on its way ahead of those who read it, for the whole process. Whoever waits for a piece has asked for it within this or beyond it: nobody waits for room. */
const AHEAD_BYTES = 96 << 20;

let freeBytes = AHEAD_BYTES;

interface Asked<P, T> {
  readonly piece: P;
  readonly result: Promise<T>;
  /** Of the room for all. */
  readonly taken: number;
}

/**
 * Fetches pieces in order, up to `ahead` of them before they are asked for: a store at a distance then costs its distance once, and not once for every piece. What is
 * held is bounded for all readers together; where that is used up, a reader still has the one piece it waits for.
 */
export async function* readAhead<P, T>(
  pieces: Iterable<P>,
  { ahead, bytesOf, fetch }: { ahead: number; bytesOf: (piece: P) => number; fetch: (piece: P) => Promise<T> },
): AsyncGenerator<{ piece: P; result: T }> {
  const asked: Asked<P, T>[] = [];
  const ask = (piece: P, taken: number): void => {
    const result = fetch(piece);
    // Its turn comes, or nobody wants it any more.
    result.catch(() => undefined);
    freeBytes -= taken;
    asked.push({ piece, result, taken });
  };
  const iterator = pieces[Symbol.iterator]();
  let next = iterator.next();
  try {
    for (;;) {
      while (next.done !== true && asked.length <= ahead) {
        const bytes = asked.length === 0 ? 0 : bytesOf(next.value);
        if (bytes > freeBytes) break;
        ask(next.value, bytes);
        next = iterator.next();
      }
      const first = asked.shift();
      if (first === undefined) return;
      freeBytes += first.taken;
      yield { piece: first.piece, result: await first.result };
    }
  } finally {
    for (const { taken } of asked) freeBytes += taken;
  }
}
