import path from "node:path";
import { formatLsn, lsn } from "../../domain/lsn.ts";
import { parseHistory } from "../../domain/timeline.ts";
import { walFileKind } from "../../domain/wal-segment.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { WalWalker } from "../../postgres/wal-records.ts";
import { branchOf, ensureBound, readBinding, walPlaceOf } from "../../repository/binding.ts";
import type { Binding } from "../../repository/binding.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { storeHistory } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import { fillWal } from "./fill-wal.ts";
import { ledgerOf } from "./segment-assembly.ts";
import { checkSegment, readWalFile, SegmentScanner } from "./segment-file.ts";
import type { ScannedSegment, SegmentFile } from "./segment-file.ts";
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

/** What pushes of one process have in common. */
export interface PushShared {
  readonly walKeys: WalKeys;
  readonly scanner: SegmentScanner;
  /** Repositories that were seen to be bound to a cluster, by id, and until when that is believed. */
  readonly bound: Map<string, number>;
  /** When repositories were brought level last. */
  madeUpMs: number;
}

export function newPushShared({ clock }: OperationContext): PushShared {
  return { walKeys: new WalKeys(clock), scanner: new SegmentScanner(), bound: new Map(), madeUpMs: Number.NEGATIVE_INFINITY };
}

/** A file that was read and found to be what its name says. */
export interface PreparedPush {
  /** Resolves when it is durable. */
  store(): Promise<PushResult>;
}

/** Archives one file for PostgreSQL's `archive_command`. Idempotent: the same content again is success. */
export async function pushWal(request: PushRequest, context: OperationContext): Promise<PushResult> {
  return (await preparePush(request, context, newPushShared(context))).store();
}

/** The part of `pushWal` that is done in the order of the log, as a record may reach from one segment into the next. */
export async function preparePush(request: PushRequest, context: OperationContext, shared: PushShared): Promise<PreparedPush> {
  const name = path.basename(request.file);
  const kind = walFileKind(name);
  if (kind === "backup") return { store: async () => ({ file: name, stored: false, reason: "backup history files are not needed: the backup label is in the backup" }) };
  if (kind === "other") throw new HoldfastError("HF-USAGE", `${name} is not a WAL file`, { hint: "archive_command = 'holdfast wal push SOURCE %p'" });
  const bytes = await readWalFile(request.file);
  if (kind === "history") return { store: async () => pushHistory(request, name, bytes, context) };
  const file = checkSegment(name, bytes);
  if (kind === "partial")
    return { store: async () => pushPartial(storeFor((await boundTo(request, file, context, shared))[0], placeOf(request, file), shared, context), file, bytes) };
  if (bytes.length !== file.segmentBytes)
    throw new HoldfastError("HF-WAL", `${name} is ${bytes.length} bytes long, a segment is ${file.segmentBytes}`, { hint: "PostgreSQL will try again" });
  const scanned = await shared.scanner.scan(request.file, file, bytes);
  return { store: async () => pushSegment(request, { file, bytes, ...scanned }, context, shared) };
}

function placeOf({ source }: PushRequest, { systemIdentifier, segmentBytes }: SegmentFile): WalPlace {
  return { source, systemIdentifier, segmentBytes };
}

/** A binding never changes to another cluster; it is only looked up anew now and then, as a repository may have been replaced. */
const BINDING_HOLDS_MS = 60_000;

/** Repositories that are there and belong to this cluster. */
async function boundTo(request: PushRequest, file: SegmentFile, context: OperationContext, { bound }: PushShared): Promise<PushRequest["repositories"]> {
  const { systemIdentifier, segmentBytes } = file;
  return thoseThere(request.repositories, context, async (repository) => {
    const key = `${repository.repositoryId} ${systemIdentifier} ${file.parsed.timeline}`;
    const now = context.clock.monotonicMs();
    if ((bound.get(key) ?? 0) > now) return;
    const binding = await ensureBound(repository, request.source, { kind: "postgres", systemIdentifier, version: 0, walSegmentBytes: segmentBytes }, context.clock.now());
    refuseLeftBranch(binding, file);
    bound.set(key, now + BINDING_HOLDS_MS);
  });
}

/** What an old primary wrote after the source had left its timeline. */
function refuseLeftBranch(binding: Binding, { parsed, start, segment }: SegmentFile): void {
  const branch = branchOf(binding);
  if (branch === null || parsed.timeline >= branch.timeline || start < branch.forkLsn) return;
  throw new HoldfastError("HF-DIVERGED", `${segment} is of a timeline that was left at ${formatLsn(branch.forkLsn)} for timeline ${branch.timeline}`, {
    hint: "an old primary that came back? stop it, or give it a name of its own",
    facts: { segment },
  });
}

async function pushSegment(request: PushRequest, scanned: ScannedSegment, context: OperationContext, shared: PushShared): Promise<PushResult> {
  const { file, bytes, facts, summary } = scanned;
  const place = placeOf(request, file);
  const repositories = await boundTo(request, file, context, shared);
  const stored = await thoseThere(repositories, context, (repository) =>
    storeSegmentEverywhere(storeFor(repository, place, shared, context), file.segment, bytes, ledgerOf(place, file.parsed.timeline, file.start, facts, "push"), [], summary),
  );
  await makeUp(stored, place, shared, context);
  return { file: file.segment, stored: true, reason: null };
}

/** How many segments a push copies to a repository that was away: PostgreSQL is waiting. And how often one process looks. */
const MADE_UP = { atOnce: 16, everyMs: 5000 } as const;

/**
 * To PostgreSQL, archived means archived in one repository at least: it would hold back all WAL, and that for the others too, for the sake of one that is away. What a repository lacks is copied from
 * another with the next segment that reaches it, some at a time, and by `serve`.
 */
async function makeUp(stored: readonly WritableRepository[], place: WalPlace, shared: PushShared, context: OperationContext): Promise<void> {
  const { clock, signal } = context;
  if (stored.length < 2 || clock.monotonicMs() - shared.madeUpMs < MADE_UP.everyMs) return;
  shared.madeUpMs = clock.monotonicMs();
  for (const to of stored)
    for (const from of stored.filter((other) => other !== to && other.keyRing.canOpenData)) {
      try {
        await fillWal({ from, to, place, walKeys: shared.walKeys, clock, signal, unfinished: false, mostSegments: MADE_UP.atOnce });
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

function storeFor(repository: WritableRepository, place: WalPlace, { walKeys }: PushShared, context: OperationContext): WalStore {
  return {
    place,
    repositories: [repository],
    walKeys,
    clock: context.clock,
    onLagging: failAtOnce,
  };
}

/** The last segment of a timeline that ended: only its records count, what follows them is left over from a recycled file. */
async function pushPartial(store: WalStore, { segment, start }: SegmentFile, bytes: Buffer): Promise<PushResult> {
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
    if (binding?.kind !== "postgres") throw new HoldfastError("HF-WAL", `${repository.name} knows nothing of ${source} yet`, { hint: "take a backup first" });
    const place = walPlaceOf(source, binding);
    const outcome = await storeHistory(repository, place, timeline, bytes, { dataKey: await walKeys.for(repository), now: context.clock.now() });
    if (outcome === "diverged")
      throw new HoldfastError("HF-DIVERGED", `${repository.name} already holds another ${name}`, {
        hint: "two servers made this timeline; both are kept. Find out which one is right",
      });
  });
  return { file: name, stored: true, reason: null };
}
