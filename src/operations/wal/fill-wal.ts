import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { parseSegmentName, segmentName } from "../../domain/wal-segment.ts";
import { crashPoint } from "../../crash-points.ts";
import { planWalFill } from "../../domain/wal-fill.ts";
import type { WalFill } from "../../domain/wal-fill.ts";
import { HoldfastError } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import type { Repository, WritableRepository } from "../../repository/repository.ts";
import { listTimelines, listWal, readHistory, readLedger, readParts, storeHistory, storePart } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { readExpired } from "../../repository/wal-expiry.ts";
import type { ExpiredRange } from "../../repository/wal-expiry.ts";
import { writeIndexAfter } from "../../repository/wal-index.ts";
import type { WalKeys } from "./wal-keys.ts";
import { copySegment } from "./wal-store.ts";

/** The log of one cluster in two repositories: what the second lacks is copied from the first. */
export interface FillRequest {
  readonly from: Repository;
  readonly to: WritableRepository;
  readonly place: WalPlace;
  readonly walKeys: WalKeys;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Copies the beginning of unfinished segments too: whoever goes on with the log needs it. */
  readonly unfinished: boolean;
  /** Stops after so many segments; without it, when nothing is lacking. */
  readonly mostSegments?: number;
  readonly onSegment?: (segment: string) => void;
}

export interface Filled {
  readonly segments: number;
  readonly bytes: number;
}

/** Copies the WAL that one repository lacks and another holds: histories first, then segments in order, so that a copy that is cut short has no holes of its own making. */
export async function fillWal(request: FillRequest): Promise<Filled> {
  const { from, to, place, signal } = request;
  await copyHistories(request);
  const lacking = await findLacking(from, to, place);
  const segments = lacking.segments.slice(0, request.mostSegments ?? lacking.segments.length);
  for (const name of segments) {
    signal.throwIfAborted();
    await copyNamed(request, name, lacking.objects.get(name) ?? []);
    request.onSegment?.(name);
  }
  await writeIndexes(to, place, segments);
  if (request.unfinished && segments.length === lacking.segments.length) for (const name of lacking.unfinished) await copyUnfinished(request, name, lacking.parts.get(name) ?? []);
  return { segments: segments.length, bytes: segments.length * place.segmentBytes };
}

/** Copies certain segments, complete or not: those that a backup needs for itself. What is there already is left alone. */
export async function copySegments(request: FillRequest, names: readonly string[]): Promise<Filled> {
  const { from, to, place, signal } = request;
  const [source, target] = [await listWal(from, place), await listWal(to, place)];
  let segments = 0;
  for (const name of names) {
    signal.throwIfAborted();
    const whole = source.segments.get(name)?.objects ?? [];
    if (target.segments.has(name)) continue;
    if (whole.length > 0) await copyNamed(request, name, whole);
    else await copyUnfinished(request, name, source.parts.get(name)?.objects ?? []);
    segments++;
    request.onSegment?.(name);
  }
  await writeIndexes(to, place, names);
  return { segments, bytes: segments * place.segmentBytes };
}

/** How many complete segments one repository lacks that another holds. */
export async function countLacking(from: Repository, to: Repository, place: WalPlace): Promise<number> {
  return (await findLacking(from, to, place)).segments.length;
}

interface Lacking extends WalFill {
  readonly objects: ReadonlyMap<string, readonly string[]>;
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

async function findLacking(from: Repository, to: Repository, place: WalPlace): Promise<Lacking> {
  const expiredIn = async (repository: Repository): Promise<Map<number, ExpiredRange[]>> => {
    const expired = new Map<number, ExpiredRange[]>();
    for (const timeline of await listTimelines(repository, place)) expired.set(timeline, await readExpired(repository, place, timeline));
    return expired;
  };
  // What each holds before what it removed: a segment that expires meanwhile is then missed in neither.
  const [source, target] = [await listWal(from, place), await listWal(to, place)];
  const plan = planWalFill({ from: source, fromExpired: await expiredIn(from), to: target, toExpired: await expiredIn(to) });
  const objectsOf = (held: ReadonlyMap<string, { readonly objects: readonly string[] }>): Map<string, readonly string[]> =>
    new Map([...held].map(([name, { objects }]) => [name, objects]));
  return { ...plan, objects: objectsOf(source.segments), parts: objectsOf(source.parts) };
}

/** All histories there are: without them nothing of their timelines can be followed. */
export async function copyHistories({ from, to, place, walKeys, clock }: FillRequest): Promise<void> {
  const present = new Set((await to.store.listNames(keys.histories(place.source, place.systemIdentifier))).map((name) => Number.parseInt(name.slice(0, 8), 16)));
  for (const timeline of await listTimelines(from, place)) {
    if (present.has(timeline)) continue;
    const content = await readHistory(from, place, timeline);
    if (content === null) continue;
    const outcome = await storeHistory(to, place, timeline, content, { dataKey: await walKeys.for(to), now: clock.now() });
    if (outcome === "diverged")
      throw new HoldfastError("HF-DIVERGED", `${to.name} holds another history of timeline ${timeline} than ${from.name}`, {
        hint: "two servers made this timeline; both are kept. Find out which one is right",
        facts: { repository: to.name, timeline },
      });
  }
}

async function copyNamed({ from, to, place, walKeys, clock }: FillRequest, name: string, objects: readonly string[]): Promise<void> {
  const [object] = objects;
  if (object === undefined) return;
  await copySegment(from, to, { place, walKeys, clock }, name, objects, await readLedger(from, place, name, object));
  crashPoint("copy.wal");
}

/** As one part, which replaces nothing: whoever reads takes the parts together, and they must agree. */
async function copyUnfinished({ from, to, place, walKeys, clock }: FillRequest, name: string, objects: readonly string[]): Promise<void> {
  const bytes = await readParts(from, place, name, objects);
  if (bytes.length === 0) return;
  await storePart(to, place, name, 0, bytes, { dataKey: await walKeys.for(to), now: clock.now(), random: randomBytes(4).toString("hex") });
}

/** An index is written with the last segment of its group; what is filled in afterwards may have completed one. */
async function writeIndexes(to: WritableRepository, place: WalPlace, names: readonly string[]): Promise<void> {
  const segments = names.flatMap((name) => parseSegmentName(name, place.segmentBytes) ?? []);
  const ends = segments.map(({ timeline, number }) => segmentName({ timeline, number: number | 255n }, place.segmentBytes));
  for (const end of new Set(ends)) await writeIndexAfter(to, place, end);
}
