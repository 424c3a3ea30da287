import type { Lsn } from "../domain/lsn.ts";
import { lsn } from "../domain/lsn.ts";
import { segmentAt, segmentName, segmentStart } from "../domain/wal-segment.ts";
import type { ClusterReader } from "./cluster-reader.ts";
import { WAL_PAGE_BYTES, WalWalker } from "./wal-records.ts";

/** Most records lie within this; one that does not is not found. */
const LOOKED_AT_BYTES = 8 * WAL_PAGE_BYTES;

/**
 * Where the record before the one at `at` begins, as that one says in the server's own WAL. Null where it cannot be read there: the role may not, or the server has it no more.
 * Together with a chain of records that ends there it tells that the chain is of this server and complete, before the record at `at` itself has been streamed.
 */
export async function readRecordBefore(
  reader: ClusterReader,
  { at, timeline, segmentBytes }: { readonly at: Lsn; readonly timeline: number; readonly segmentBytes: number },
  signal: AbortSignal,
): Promise<Lsn | null> {
  const segment = segmentAt(timeline, at, segmentBytes);
  const page = lsn(at - (at % BigInt(WAL_PAGE_BYTES)));
  const offset = Number(page - segmentStart(segment, segmentBytes));
  const range = { path: `pg_wal/${segmentName(segment, segmentBytes)}`, offset, length: Math.min(LOOKED_AT_BYTES, segmentBytes - offset) };
  const [bytes] = await reader.read([range], signal).catch(() => {
    signal.throwIfAborted();
    return [null];
  });
  if (bytes === undefined || bytes === null) return null;
  let before: Lsn | null = null;
  const walker = new WalWalker(page, {
    segmentBytes,
    checkCrc: true,
    visit: (record) => {
      if (record.start === at) before = record.prev;
    },
  });
  walker.push(bytes);
  reader.reuse(bytes);
  return before;
}
