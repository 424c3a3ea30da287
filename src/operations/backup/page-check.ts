import type { Clock } from "../../clock.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { classify } from "../../postgres/cluster-files.ts";
import type { ClusterReader } from "../../postgres/cluster-reader.ts";
import { judgePage, pageLsn } from "../../domain/page.ts";
import type { ClusterShape } from "./copy-plan.ts";

/** A page whose checksum is wrong. Whether that is corruption depends on its LSN and on where the backup ends. */
export interface SuspectPage {
  readonly path: string;
  /** In the file, not in the fork. */
  readonly block: number;
  readonly lsn: bigint;
}

export interface PageSource {
  readonly reader: ClusterReader;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

const RETRIES = 4;
const RETRY_PAUSE_MS = 50;

/**
 * Finds pages with a wrong checksum. A page may be caught half-written: it is read again (and what was read then is taken) until it is right or stays the same.
 * Page, LSN and checksum are always of the same read.
 */
export async function findSuspectPages(source: PageSource, file: { path: string; from: number; bytes: Buffer }, shape: ClusterShape): Promise<SuspectPage[]> {
  const kind = classify(file.path);
  if (!shape.dataChecksums || kind.kind !== "relation") return [];
  const suspects: SuspectPage[] = [];
  const first = kind.segment * shape.segmentBlocks + file.from;
  for (let at = 0, i = 0; at + shape.blockSize <= file.bytes.length; at += shape.blockSize, i++) {
    if (judgePage(file.bytes, at, shape.blockSize, first + i) !== "bad") continue;
    const page = file.bytes.subarray(at, at + shape.blockSize);
    await readAgain(source, { path: file.path, block: file.from + i, blockNumber: first + i, page }, shape.blockSize);
    if (judgePage(page, 0, shape.blockSize, first + i) === "bad") suspects.push({ path: file.path, block: file.from + i, lsn: pageLsn(page) });
  }
  return suspects;
}

async function readAgain(source: PageSource, suspect: { path: string; block: number; blockNumber: number; page: Buffer }, blockSize: number): Promise<void> {
  for (let attempt = 0; attempt < RETRIES; attempt++) {
    await source.clock.sleep(RETRY_PAUSE_MS * 2 ** attempt, source.signal);
    const [again] = await source.reader.read([{ path: suspect.path, offset: suspect.block * blockSize, length: blockSize }], source.signal);
    if (again === null || again === undefined || again.length < blockSize) return;
    again.copy(suspect.page);
    if (judgePage(suspect.page, 0, blockSize, suspect.blockNumber) !== "bad") return;
  }
}

/** A page last changed within the backup is repaired by WAL; one that is older, or claims to be from beyond the end, is corrupt. */
export function corruptAmong(suspects: readonly SuspectPage[], start: Lsn, stop: Lsn): SuspectPage[] {
  return suspects.filter((suspect) => suspect.lsn < start || suspect.lsn > stop);
}
