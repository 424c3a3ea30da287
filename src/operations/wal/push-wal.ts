import { readFile } from "node:fs/promises";
import path from "node:path";
import { formatLsn, lsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { parseHistory } from "../../domain/timeline.ts";
import { parseSegmentName, segmentName, segmentStart, walFileKind } from "../../domain/wal-segment.ts";
import type { WalSegment } from "../../domain/wal-segment.ts";
import type { WalSummary } from "../../domain/wal-summary.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { WalWalker } from "../../postgres/wal-records.ts";
import { ensureBound, readBinding } from "../../repository/binding.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { storeHistory } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import { fillWal } from "./fill-wal.ts";
import { CommitScanner, ledgerOf } from "./segment-assembly.ts";
import type { CommitFacts } from "./segment-assembly.ts";
import { WalKeys } from "./wal-keys.ts";
import { failAtOnce, storePartInFirstTier, storeSegmentEverywhere } from "./wal-store.ts";
import type { WalStore } from "./wal-store.ts";

export interface PushRequest {
  readonly source: string;
  /** What PostgreSQL gives as %p. */
  readonly file: string;
  readonly repositories: readonly [WritableRepository, ...WritableRepository[]];
}

export interface PushResult {
  readonly file: string;
  readonly stored: boolean;
  readonly reason: string | null;
}

/** Archives one file for PostgreSQL's `archive_command`. Idempotent: the same content again is success. */
export async function pushWal(request: PushRequest, context: OperationContext): Promise<PushResult> {
  const name = path.basename(request.file);
  const kind = walFileKind(name);
  if (kind === "backup") return { file: name, stored: false, reason: "backup history files are not needed: the backup label is in the backup" };
  if (kind === "other") throw new HoldfastError("HF-USAGE", `${name} is not a WAL file`, { hint: "archive_command = 'holdfast wal push SOURCE %p'" });
  const bytes = await readWalFile(request.file);
  if (kind === "history") return pushHistory(request, name, bytes, context);
  const segment = name.slice(0, 24);
  const header = readSegmentHeader(bytes, name);
  const parsed = parseSegmentName(segment, header.segmentBytes);
  if (parsed === null || segmentStart(parsed, header.segmentBytes) !== header.address || parsed.timeline < header.timeline)
    throw new HoldfastError("HF-OTHER-CLUSTER", `${name} holds WAL of ${formatLsn(lsn(header.address))} on timeline ${header.timeline}: its name and content differ`, {
      hint: "it was renamed, or is damaged; it was not stored",
    });
  const { systemIdentifier, segmentBytes } = header;
  const repositories = await thoseThere(request.repositories, context, (repository) =>
    ensureBound(repository, request.source, { systemIdentifier, version: 0, walSegmentBytes: segmentBytes }, context.clock.now()),
  );
  const place = { source: request.source, systemIdentifier, segmentBytes };
  const start = segmentStart(parsed, segmentBytes);
  if (kind === "partial") return pushPartial(storeFor(repositories[0], place, context), segment, start, bytes);
  if (bytes.length !== segmentBytes)
    throw new HoldfastError("HF-WAL", `${name} is ${bytes.length} bytes long, a segment is ${segmentBytes}`, { hint: "PostgreSQL will try again" });
  const { facts, summary } = await scanSegment(request.file, { ...header, parsed, start }, bytes);
  const stored = await thoseThere(repositories, context, (repository) =>
    storeSegmentEverywhere(storeFor(repository, place, context), segment, bytes, ledgerOf(place, parsed.timeline, start, facts, "push"), [], summary),
  );
  await makeUp(stored, place, context);
  return { file: name, stored: true, reason: null };
}

/** How many segments a push copies to a repository that was away: PostgreSQL is waiting. */
const MADE_UP_AT_ONCE = 16;

/**
 * To PostgreSQL, archived means archived in one repository at least: it would hold back all WAL, and that for the others too, for the sake of one that is away. What a repository lacks is copied from
 * another with the next segment that reaches it, some at a time, and by `serve`.
 */
async function makeUp(stored: readonly WritableRepository[], place: WalPlace, context: OperationContext): Promise<void> {
  const { clock, signal } = context;
  for (const to of stored)
    for (const from of stored.filter((other) => other !== to && other.keyRing.canOpenData)) {
      try {
        await fillWal({ from, to, place, walKeys: new WalKeys(clock), clock, signal, unfinished: false, mostSegments: MADE_UP_AT_ONCE });
      } catch (error) {
        if (!isOfOneCopy(error)) throw error;
        context.onNotice(`${to.name} lacks WAL that is in ${from.name}: ${messageOf(error)}`);
      }
    }
}

/** Something done in each repository by itself. Those where it was done; where in none, the first failure. */
async function thoseThere(
  repositories: PushRequest["repositories"],
  context: OperationContext,
  act: (repository: WritableRepository) => Promise<unknown>,
): Promise<PushRequest["repositories"]> {
  const there: WritableRepository[] = [];
  const failures: unknown[] = [];
  await Promise.all(
    repositories.map(async (repository) => {
      try {
        await act(repository);
        there.push(repository);
      } catch (error) {
        if (!isOfOneCopy(error)) throw error;
        failures.push(error);
        context.onNotice(`not archived in ${repository.name}: ${messageOf(error)}`);
      }
    }),
  );
  const [first, ...others] = repositories.filter((repository) => there.includes(repository));
  if (first === undefined) throw failures[0];
  return [first, ...others];
}

/** The transactions and changes of a segment. The record it begins in the middle of is known only with the segment before, which usually still lies beside it. */
async function scanSegment(
  file: string,
  { segmentBytes, systemIdentifier, parsed, start }: SegmentHeader & { parsed: WalSegment; start: Lsn },
  bytes: Buffer,
): Promise<{ facts: CommitFacts; summary: WalSummary | null }> {
  const before = lsn(start === 0n ? 0n : start - BigInt(segmentBytes));
  const name = segmentName({ timeline: parsed.timeline, number: before / BigInt(segmentBytes) }, segmentBytes);
  const previous = await readFile(path.join(path.dirname(file), name)).catch(() => null);
  // It may be recycled already, and hold something else under this name.
  const isPrevious = previous?.length === segmentBytes && previous.readBigUInt64LE(8) === before && previous.readBigUInt64LE(24).toString() === systemIdentifier && before < start;
  const scanner = new CommitScanner(isPrevious ? before : start, segmentBytes);
  if (isPrevious) scanner.push(previous);
  if (isPrevious) scanner.take(before);
  scanner.push(bytes);
  return { facts: scanner.take(start), summary: scanner.summary };
}

function storeFor(repository: WritableRepository, place: WalPlace, context: OperationContext): WalStore {
  return {
    place,
    repositories: [repository],
    walKeys: new WalKeys(context.clock),
    clock: context.clock,
    onLagging: failAtOnce,
  };
}

async function readWalFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new HoldfastError("HF-WAL", `cannot read ${file}: ${messageOf(cause)}`, { hint: "archive_command must pass %p, and run in the data directory", cause });
  }
}

interface SegmentHeader {
  readonly timeline: number;
  readonly address: bigint;
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
}

/** The long header of the first page: whose WAL this is. */
function readSegmentHeader(bytes: Buffer, name: string): SegmentHeader {
  if (bytes.length < 40 || (bytes.readUInt16LE(2) & 0x2) === 0)
    throw new HoldfastError("HF-WAL", `${name} does not begin as a WAL segment does`, { hint: "it is damaged or empty; it was not stored" });
  return { timeline: bytes.readUInt32LE(4), address: bytes.readBigUInt64LE(8), systemIdentifier: bytes.readBigUInt64LE(24).toString(), segmentBytes: bytes.readUInt32LE(32) };
}

/** The last segment of a timeline that ended: only its records count, what follows them is left over from a recycled file. */
async function pushPartial(store: WalStore, segment: string, start: bigint, bytes: Buffer): Promise<PushResult> {
  const walker = new WalWalker(lsn(start), { segmentBytes: store.place.segmentBytes, checkCrc: true, visit: () => undefined });
  walker.push(bytes);
  const end = walker.lastEnd === null ? 0 : Number(walker.lastEnd - start);
  if (end > 0) await storePartInFirstTier(store, segment, 0, bytes.subarray(0, end));
  return { file: `${segment}.partial`, stored: end > 0, reason: end > 0 ? null : "it holds no whole record" };
}

async function pushHistory({ source, repositories }: PushRequest, name: string, bytes: Buffer, context: OperationContext): Promise<PushResult> {
  const walKeys = new WalKeys(context.clock);
  const timeline = Number.parseInt(name.slice(0, 8), 16);
  // One that tells nothing would hide the whole timeline from every restore.
  if ((parseHistory(timeline, bytes.toString("utf8"))?.forks.length ?? 0) === 0)
    throw new HoldfastError("HF-WAL", `${name} is not the history of a timeline`, { hint: "it is damaged or empty; it was not stored" });
  await thoseThere(repositories, context, async (repository) => {
    const binding = await readBinding(repository, source);
    if (binding === null) throw new HoldfastError("HF-WAL", `${repository.name} knows nothing of ${source} yet`, { hint: "take a backup first" });
    const place = { source, systemIdentifier: binding.systemIdentifier, segmentBytes: binding.walSegmentBytes };
    const outcome = await storeHistory(repository, place, timeline, bytes, { dataKey: await walKeys.for(repository), now: context.clock.now() });
    if (outcome === "diverged")
      throw new HoldfastError("HF-DIVERGED", `${repository.name} already holds another ${name}`, {
        hint: "two servers made this timeline; both are kept. Find out which one is right",
      });
  });
  return { file: name, stored: true, reason: null };
}
