import { describe, expect, test } from "vitest";
import { copyRows } from "../../../src/postgres/copy-rows.ts";
import { Random } from "../../support/random.ts";

/** What the server sends for COPY … (FORMAT binary): signature, flags, extension, rows, end. */
function encode(rows: readonly (readonly (Buffer | null)[])[], extension = Buffer.alloc(0)): Buffer {
  const int = (value: number, bytes: 2 | 4): Buffer => {
    const buffer = Buffer.alloc(bytes);
    buffer.writeIntBE(value, 0, bytes);
    return buffer;
  };
  const fields = rows.flatMap((row) => [int(row.length, 2), ...row.flatMap((field) => (field === null ? [int(-1, 4)] : [int(field.length, 4), field]))]);
  return Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), int(0, 4), int(extension.length, 4), extension, ...fields, int(-1, 2)]);
}

async function* pieces(bytes: Buffer, random: Random, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const end = at + random.pick(sizes);
    yield bytes.subarray(at, end);
    at = end;
  }
}

async function read(chunks: AsyncIterable<Buffer>): Promise<(Buffer | null)[][]> {
  const rows: (Buffer | null)[][] = [];
  for await (const row of copyRows(chunks)) rows.push(row);
  return rows;
}

describe("rows of a binary copy", () => {
  const random = new Random("copy");
  const rows = [[Buffer.from("a"), null], [Buffer.alloc(0), Buffer.from(Array.from({ length: 100_000 }, () => random.integer(0, 255)))], [], [null, Buffer.from("end")]];

  test.each([[[1]], [[2, 3, 5]], [[65_536]], [[1, 10_000, 1_000_000]]])("are the same in chunks of %j bytes, with an empty one in between", async (sizes) => {
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of pieces(encode(rows), new Random(sizes.join()), sizes)) {
        yield chunk;
        yield Buffer.alloc(0);
      }
    };
    expect(await read(chunks())).toEqual(rows);
  });

  test("come after a header extension, whatever is in it", async () => {
    expect(await read(pieces(encode(rows, Buffer.from("from a later version")), random, [7]))).toEqual(rows);
  });

  test("that break off are an error, wherever they do", async () => {
    const whole = encode([[Buffer.from("value")]]);
    for (let length = 0; length < whole.length; length++)
      await expect(read(pieces(whole.subarray(0, length), random, [64])), `${length} bytes`).rejects.toMatchObject({ code: "HF-SESSION-LOST" });
  });

  test("of something else are an error", async () => {
    await expect(read(pieces(Buffer.from("COPY 5\nand more of it"), random, [64]))).rejects.toMatchObject({ code: "HF-SESSION-LOST" });
  });
});
