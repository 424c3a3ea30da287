import { codeOf, HoldfastError } from "../../errors.ts";
import { MOST_STAMP_BYTES } from "../../repository/time-stamp.ts";

/** Longer than an authority takes, shorter than anybody should wait for it. */
const TIMEOUT_MS = 15_000;

/** Puts a question to a time-stamp authority (RFC 3161 section 3.4). Follows nowhere, and takes no more than an answer can have. Rejects with `HF-CONNECT`. */
export async function askAuthority(url: string, question: Buffer, signal?: AbortSignal): Promise<Buffer> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/timestamp-query", accept: "application/timestamp-reply" },
      body: new Uint8Array(question),
      redirect: "manual",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      throw unreachable(`it answered ${response.status}`);
    }
    return await readAtMost(response, MOST_STAMP_BYTES);
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    signal?.throwIfAborted();
    if (error instanceof Error && error.name === "TimeoutError") throw unreachable(`it did not answer within ${TIMEOUT_MS / 1000} s`);
    throw unreachable(`no connection (${codeOf(error instanceof Error ? error.cause : null) ?? "not an address"})`);
  }
}

async function readAtMost(response: Response, most: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const body: AsyncIterable<Uint8Array> | null = response.body;
  if (body === null) return Buffer.alloc(0);
  for await (const part of body) {
    length += part.length;
    if (length > most) throw unreachable("its answer is longer than a time stamp can be");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function unreachable(reason: string): HoldfastError {
  return new HoldfastError("HF-CONNECT", `the time-stamp authority gave no stamp: ${reason}`, {
    hint: "evidence is kept, and stamped when it answers again; see evidence.timestamps in the inventory",
  });
}
