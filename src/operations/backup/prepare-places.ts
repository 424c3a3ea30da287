import { crashPoint } from "../../crash-points.ts";
import { nextBackupId } from "../../domain/backup-id.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { HoldfastError } from "../../errors.ts";
import { declareIntent } from "../../repository/attempts.ts";
import type { Intent } from "../../repository/attempts.ts";
import { ensureBound, requireBranch } from "../../repository/binding.ts";
import type { Lease } from "../../repository/lease.ts";
import { listManifests } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { storeHistory } from "../../repository/wal-archive.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import type { Away } from "../installation.ts";
import type { BackupOrder } from "./backup-types.ts";
import type { CopyPlace, Parent } from "./choose-parent.ts";
import type { HeldLeases } from "./copy-leases.ts";
import { requireReady } from "./require-ready.ts";
import type { ReadyRequest } from "./require-ready.ts";
import { sweepAttempts } from "./sweep-attempts.ts";

/** A place of a copy that a backup will be written to, and the lease that lets it. */
export interface LeasedPlace extends CopyPlace {
  readonly lease: Lease;
}

/** Something done for each copy by itself: one for which it fails is away from then on. Only when none is left does it fail. */
async function forEachCopy<T extends { readonly repository: WritableRepository }, R>(
  items: readonly T[],
  away: Away[],
  context: OperationContext,
  act: (item: T) => Promise<R>,
): Promise<R[]> {
  const done: R[] = [];
  for (const item of items) {
    try {
      done.push(await act(item));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof HoldfastError) || !isOfOneCopy(error)) throw error;
      away.push({ name: item.repository.name, error });
    }
  }
  const [first] = away;
  if (done.length === 0 && first !== undefined) throw first.error;
  return done;
}

/** What each repository holds, with the source bound to this cluster, its history stored and dead attempts cleared away. */
export async function prepareForCluster(leases: HeldLeases, away: Away[], request: BackupOrder, state: ClusterState, context: OperationContext): Promise<LeasedPlace[]> {
  const source = request.source.name;
  const { systemIdentifier, walSegmentBytes } = state.facts;
  const bind = async (repository: WritableRepository): Promise<void> => {
    const binding = await ensureBound(repository, source, { kind: "postgres", systemIdentifier, version: state.identity.version, walSegmentBytes }, context.clock.now());
    requireBranch(binding, state.history, repository.name);
    await bringHistory(repository, source, state, context);
  };
  return preparePlaces(leases, away, request, bind, context);
}

/** What each repository holds, with the source bound (`bind`) and dead attempts cleared away. */
export async function preparePlaces(
  { held }: HeldLeases,
  away: Away[],
  request: BackupOrder,
  bind: (repository: WritableRepository) => Promise<unknown>,
  context: OperationContext,
): Promise<LeasedPlace[]> {
  const source = request.source.name;
  return forEachCopy(held, away, context, async ({ repository, lease }) => {
    // The binding decides whether anything may be changed here; to look is free.
    const listed = listManifests(repository, source);
    listed.catch(() => undefined);
    await bind(repository);
    const listing = await listed;
    const dead = await sweepAttempts(repository, source, listing, context, request.hasEnded);
    return { repository, lease, listing: { ...listing, ids: [...listing.ids, ...dead] } };
  });
}

/** Every copy holds the history of its timeline, whichever way WAL comes: without it nothing of that timeline can be restored from there. */
async function bringHistory(repository: WritableRepository, source: string, { facts, history, historyFile }: ClusterState, context: OperationContext): Promise<void> {
  if (historyFile === null) return;
  const place = { source, systemIdentifier: facts.systemIdentifier, segmentBytes: facts.walSegmentBytes };
  const outcome = await storeHistory(repository, place, history.timeline, historyFile, { dataKey: await repository.keyRing.sealNew(), now: context.clock.now() });
  if (outcome !== "diverged") return;
  throw new HoldfastError("HF-DIVERGED", `${repository.name} already holds another history of timeline ${history.timeline}`, {
    hint: "two servers made this timeline; both are kept. Find out which one is right",
    facts: { repository: repository.name, timeline: history.timeline },
  });
}

/** Copies that can be made, as far as that is known before the server is told of a backup. */
export async function requireAllReady(places: readonly LeasedPlace[], away: Away[], what: Omit<ReadyRequest, "listing">, context: OperationContext): Promise<LeasedPlace[]> {
  return forEachCopy(places, away, context, async (place) => {
    await requireReady(place.repository, { ...what, listing: place.listing });
    return place;
  });
}

/** A backup that was declared: its id, and the copies in which it was. */
export interface DeclaredBackup {
  readonly id: string;
  readonly places: readonly LeasedPlace[];
}

/** Gives a new backup its id and says in each copy what will be written there, before anything is. */
export async function declareBackup(
  { type, parent }: { readonly type: BackupType; readonly parent: Parent },
  prepared: readonly LeasedPlace[],
  away: Away[],
  request: BackupOrder,
  context: OperationContext,
): Promise<DeclaredBackup> {
  const now = context.clock.now();
  const id = nextBackupId(
    now,
    type,
    prepared.flatMap((place) => place.listing.ids),
  );
  const intent = { backup: id, ancestors: ancestorsOf(parent), startedAt: now.toISOString(), runId: request.runId };
  const places = await declareEverywhere(prepared, away, request.source.name, intent, context);
  crashPoint("backup.started");
  for (const { name, error } of away) context.onNotice(`not writing to ${name}: ${error.message}`);
  return { id, places };
}

function ancestorsOf(parent: Parent): string[] {
  return parent.stored === null ? [] : [parent.stored.manifest.id, ...parent.stored.manifest.ancestors.map(({ id }) => id)];
}

async function declareEverywhere(places: readonly LeasedPlace[], away: Away[], source: string, intent: Intent, context: OperationContext): Promise<LeasedPlace[]> {
  return forEachCopy(places, away, context, async (place) => {
    await declareIntent(place.repository, source, intent);
    return place;
  });
}
