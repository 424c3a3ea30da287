import { MOST_LINE_BYTES } from "../repository/evidence-bundle.ts";

/** The lines of a file with their line ends, byte for byte. What follows the last line end is a line too. Of a line that is longer than any can be, the rest is the next line. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (rest.length > 0) {
      const end = rest.indexOf(LINE_END);
      const taken = rest.subarray(0, end === -1 ? rest.length : end + 1);
      parts.push(taken);
      held += taken.length;
      rest = rest.subarray(taken.length);
      if (end === -1 && held < MOST_LINE_BYTES) continue;
      yield Buffer.concat(parts);
      [parts, held] = [[], 0];
    }
  }
  if (held > 0) yield Buffer.concat(parts);
}

const LINE_END = 0x0a;
