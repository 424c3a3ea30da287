import { HoldfastError } from "../errors.ts";

/**
 * The rows of `COPY … TO STDOUT (FORMAT binary)`, as they come in chunks of any size. Large values are put together once, in a buffer of their own.
 */
const SIGNATURE = Buffer.from("PGCOPY\n\xff\r\n\0", "latin1");
const HEADER_BYTES = SIGNATURE.length + 8;

export async function* copyRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<(Buffer | null)[]> {
  const reader = new ByteFeed(chunks);
  const header = await reader.take(HEADER_BYTES);
  if (!header.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw unexpected("signature");
  await reader.take(header.readUInt32BE(HEADER_BYTES - 4));
  for (;;) {
    const fields = (await reader.take(2)).readInt16BE(0);
    if (fields === -1) return;
    const row: (Buffer | null)[] = [];
    for (let i = 0; i < fields; i++) {
      const length = (await reader.take(4)).readInt32BE(0);
      row.push(length === -1 ? null : await reader.take(length));
    }
    yield row;
  }
}

class ByteFeed {
  readonly #source: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#source = chunks[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    if (length <= this.#chunk.length) return this.#cut(length);
    const whole = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      if (this.#chunk.length === 0) await this.#next();
      const piece = this.#cut(Math.min(length - filled, this.#chunk.length));
      whole.set(piece, filled);
      filled += piece.length;
    }
    return whole;
  }

  #cut(length: number): Buffer {
    const piece = this.#chunk.subarray(0, length);
    this.#chunk = this.#chunk.subarray(length);
    return piece;
  }

  async #next(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) throw unexpected("end");
    this.#chunk = next.value;
  }
}

function unexpected(what: string): HoldfastError {
  return new HoldfastError("HF-SESSION-LOST", `the server's copy stream has an unexpected ${what}`, { hint: "run it again" });
}
