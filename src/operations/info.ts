import type { Clock } from "../clock.ts";
import type { BackupType } from "../domain/backup-id.ts";
import { completeUntilNow, exposureBytes, exposureSeconds } from "../domain/exposure.ts";
import type { Reach } from "../domain/exposure.ts";
import { formatLsn, maxLsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { NOT_HELD, retained, stateOf } from "../domain/hold.ts";
import type { HoldMark, SourceHolds } from "../domain/hold.ts";
import { planExpiry } from "../domain/retention.ts";
import { checkSize } from "../domain/size-check.ts";
import type { RetentionRule } from "../domain/retention.ts";
import type { BackupCopyView, BackupView, ExposureView, FormerClusterView, LagView, LastProof, SourceInfo, VerificationView } from "../domain/source-info.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { formatMicros, micros, parseMicros } from "../domain/timestamp.ts";
import type { Micros } from "../domain/timestamp.ts";
import { DamageError, HoldfastError } from "../errors.ts";
import type { Verified } from "../catalog/verified.ts";
import { connect, queryRow, text } from "../postgres/connection.ts";
import { COMMIT_STATE, commitStateOf } from "../postgres/synchronous-standbys.ts";
import type { CommitState } from "../postgres/synchronous-standbys.ts";
import type { ConnectionTarget } from "../postgres/connection.ts";
import { readHolds } from "../repository/holds.ts";
import { toRetain } from "../repository/manifest.ts";
import type { CopyView } from "./copy-view.ts";
import type { SeenLocks } from "./look-at-locks.ts";
import { describeBackup } from "./backup/describe-backup.ts";
import { describeWindow, findWindows } from "./restore/recovery-windows.ts";
import type { RecoveryWindow } from "./restore/recovery-windows.ts";

export interface InfoRequest {
  readonly name: string;
  /** A view of every copy that could be opened, of the cluster that it is bound to; and of those that it was bound to before. */
  readonly views: readonly CopyView[];
  readonly former: readonly CopyView[];
  /** Null: the server is not asked, and exposure is unknown. */
  readonly server: ServerPosition | null;
  readonly verified: readonly Verified[];
  readonly lastProof: LastProof | null;
  /** As it was seen before; empty: never. */
  readonly exposureBefore: readonly ExposureView[];
  readonly lagging: readonly LagView[];
  readonly verification: readonly VerificationView[];
  readonly rules: ReadonlyMap<BackupType, RetentionRule> | null;
  /** The repositories that the log goes to; null where no policy says. */
  readonly logRepositories: readonly string[] | null;
  /** Until when backups are locked. Left out: nobody looked. */
  readonly locks?: SeenLocks;
  readonly now: Date;
}

export interface ServerPosition {
  /** Of another cluster than a copy is, it says nothing of that. */
  readonly systemIdentifier: string;
  readonly position: Lsn;
  readonly now: Micros;
  /** False: a standby. */
  readonly isPrimary: boolean;
  readonly commits: CommitState;
  /** By our clock: when it had answered. */
  readonly at: Date;
}

/** What is known to who has the repositories alone: neither the server, nor a policy, nor what was seen before. */
export const REPOSITORIES_ALONE = {
  server: null,
  verified: [],
  lastProof: null,
  exposureBefore: [],
  lagging: [],
  verification: [],
  rules: null,
  logRepositories: null,
} as const satisfies Partial<InfoRequest>;

/** How connections for this and for the stream call themselves. */
const [STATUS_NAME, STREAM_NAME] = ["holdfast status", "holdfast wal"] as const;

/** Where the server's WAL is, and its clock. Null where it cannot be reached: then nothing is known, and nothing is claimed. */
export async function readServerPosition(target: ConnectionTarget, clock: Clock): Promise<ServerPosition | null> {
  try {
    await using connection = await connect(target, { purpose: "status" });
    const row = await queryRow(
      connection.client,
      `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end::text as lsn, (extract(epoch from statement_timestamp()) * 1000000)::bigint::text as now, pg_is_in_recovery()::text as standby, (select system_identifier::text from pg_control_system()) as system, current_setting('application_name') as name, ${COMMIT_STATE} as commits`,
    );
    // The address may give every connection a name of its own; else ours say what they are for.
    const name = text(row, "name");
    const commits = commitStateOf(text(row, "commits"), name === STATUS_NAME ? STREAM_NAME : name);
    return {
      systemIdentifier: text(row, "system"),
      position: parseLsn(text(row, "lsn")),
      now: micros(BigInt(text(row, "now"))),
      isPrimary: text(row, "standby") === "false",
      commits,
      at: clock.now(),
    };
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

export async function describeSource(request: InfoRequest): Promise<SourceInfo> {
  const [first] = request.views;
  const everyView = [...request.views, ...request.former];
  const holds = await holdsOf(request.views);
  const windows = new Map<CopyView, RecoveryWindow[]>();
  for (const view of everyView) windows.set(view, (await Promise.all([...leafHistories(view)].map((history) => findWindows(view, history)))).flat());
  return {
    name: request.name,
    kind: first?.kind ?? null,
    systemIdentifier: first?.systemIdentifier ?? null,
    formerClusters: describeFormer(request.former),
    walSegmentBytes: first?.kind === "postgres" ? first.place.segmentBytes : null,
    timeline: first?.newestTimeline ?? null,
    held: marked(holds, ({ all }) => all.held),
    backups: describeBackups(request, holds),
    windows: everyView.flatMap((view) =>
      (windows.get(view) ?? []).map((window) => ({
        ...describeWindow(view.repository.name, window),
        ...ofFormer(view),
        from: formatMicros(window.from),
        to: window.to === null ? null : formatMicros(window.to),
      })),
    ),
    gaps: everyView.flatMap((view) =>
      view.gaps(request.logRepositories?.includes(view.repository.name) ?? null).map(({ timeline, start, end, firstSegment, lastSegment }) => ({
        repository: view.repository.name,
        ...ofFormer(view),
        timeline,
        startLsn: formatLsn(start),
        endLsn: formatLsn(end),
        firstSegment,
        lastSegment,
      })),
    ),
    exposure: request.views.map((view) => describeExposure(view, windows.get(view) ?? [], request)),
    lastProof: request.lastProof,
    lagging: request.lagging,
    verification: request.verification,
    ...(request.locks === undefined ? {} : { locksAskedAt: request.locks.askedAt.toISOString() }),
  };
}

function ofFormer({ formerCluster }: CopyView): { systemIdentifier?: string } {
  return formerCluster === null ? {} : { systemIdentifier: formerCluster.systemIdentifier };
}

/** Each once, as the copy says that was bound to the next one first. */
function describeFormer(former: readonly CopyView[]): FormerClusterView[] {
  const clusters = former.flatMap(({ formerCluster }) => formerCluster ?? []).toSorted((a, b) => a.until.localeCompare(b.until));
  const known = new Map<string, FormerClusterView>();
  for (const { systemIdentifier, boundAt, until } of clusters) if (!known.has(systemIdentifier)) known.set(systemIdentifier, { systemIdentifier, from: boundAt, until });
  return [...known.values()].toReversed();
}

/** Timelines nothing continues from; and branches that were left, where there is WAL behind the fork: what only a lost primary had. */
function* leafHistories(view: CopyView): Generator<TimelineHistory> {
  const left = new Map<number, Lsn>();
  for (const { forks } of view.histories.values()) for (const { timeline, switchpoint } of forks) left.set(timeline, maxLsn(switchpoint, left.get(timeline) ?? switchpoint));
  for (const [timeline, history] of view.histories) {
    const fork = left.get(timeline);
    if (fork === undefined || view.endOfWal(history) > fork) yield history;
  }
}

function describeExposure(
  view: CopyView,
  windows: readonly RecoveryWindow[],
  { server: asked, now, exposureBefore }: Pick<InfoRequest, "server" | "now" | "exposureBefore">,
): ExposureView {
  const repository = view.repository.name;
  if (view.kind !== "postgres") return exposureByAge(view, now);
  // What another cluster has written says nothing of this one.
  const server = asked?.systemIdentifier === view.systemIdentifier ? asked : null;
  const newest = windows.findLast((window) => window.timeline === view.newestTimeline);
  const end = newest?.end ?? null;
  const before = reachOf(exposureBefore.find((seen) => seen.repository === repository));
  const own = newest?.to ?? null;
  const to = end === null ? own : completeUntilNow({ recoverableTo: end, completeUntil: own }, before, server);
  const reach = { recoverableLsn: end === null ? null : formatLsn(end), completeUntil: to === null ? null : formatMicros(to) };
  if (server === null) return { repository, seconds: null, bytes: null, observedAt: null, ...reach };
  const input = { recoverableTo: end, completeUntil: to, serverPosition: server.position, serverNow: server.now };
  return { repository, seconds: exposureSeconds(input), bytes: exposureBytes(input), observedAt: server.at.toISOString(), ...reach };
}

/** What a look knew of a copy; null: nothing. */
export function reachOf(seen: ExposureView | undefined): Reach | null {
  const { recoverableLsn = null, completeUntil = null } = seen ?? {};
  return recoverableLsn === null ? null : { recoverableTo: parseLsn(recoverableLsn), completeUntil: completeUntil === null ? null : parseMicros(completeUntil) };
}

/** Nobody tells us what changes between backups: so all that came after the newest began counts as lost. It is known without asking the source. */
function exposureByAge({ repository, listing }: CopyView, now: Date): ExposureView {
  const began = listing.backups.map(({ manifest }) => new Date(manifest.start.at));
  const newest = began.reduce<Date | null>((a, b) => (a === null || b > a ? b : a), null);
  const completeUntil = newest === null ? null : newest.toISOString();
  const seconds = newest === null ? null : Math.max(0, (now.getTime() - newest.getTime()) / 1000);
  return { repository: repository.name, seconds, bytes: null, observedAt: now.toISOString(), recoverableLsn: null, completeUntil };
}

function describeBackups(request: InfoRequest, holds: ReadonlyMap<CopyView, SourceHolds>): SourceInfo["backups"] {
  const { verified, locks } = request;
  const views = [...request.views, ...request.former];
  const ids = [...new Set(views.flatMap((view) => view.listing.backups.map(({ manifest }) => manifest.id)))].toSorted();
  const expiry = expiryOf(request, holds);
  const before: BackupView[] = [];
  return ids.flatMap((id) => {
    const stored = views.flatMap((view) => view.listing.backups).find(({ manifest }) => manifest.id === id);
    if (stored === undefined) return [];
    const copies = views.flatMap((view): BackupCopyView[] => {
      if (!view.listing.backups.some(({ manifest }) => manifest.id === id)) return [];
      const last = verified.find((entry) => entry.repository === view.repository.name && entry.backup === id);
      const lockedUntil = locks?.of.get(view)?.get(id);
      return [
        {
          repository: view.repository.name,
          state: last?.ok === false ? "damaged" : "complete",
          verifiedTier: last?.ok === true ? last.tier : null,
          verifiedAt: last?.at ?? null,
          error: null,
          ...(lockedUntil === undefined ? {} : { lockedUntil: lockedUntil?.toISOString() ?? null }),
        },
      ];
    });
    const backup = describeBackup(stored, copies);
    const sizeCheck = checkSize(backup, before);
    before.push(backup);
    return [
      {
        ...backup,
        sizeCheck,
        heldBy: expiry.get(id)?.heldBy ?? dependents(views, id),
        pinned: marked(holds, (each) => stateOf(each, id).pinned),
        held: marked(holds, (each) => stateOf(each, id).held),
        expiresAt: expiry.get(id)?.expiresAt?.toISOString() ?? null,
      },
    ];
  });
}

function dependents(views: readonly CopyView[], id: string): string[] {
  return [
    ...new Set(
      views.flatMap((view) => view.listing.backups.filter(({ manifest }) => manifest.ancestors.some((ancestor) => ancestor.id === id)).map(({ manifest }) => manifest.id)),
    ),
  ].toSorted();
}

const NONE: SourceHolds = { all: NOT_HELD, backups: new Map() };

/** What each copy says of pins and holds. One that cannot be read is left out: `verify` reports it, and expiry there deletes nothing. */
async function holdsOf(views: readonly CopyView[]): Promise<Map<CopyView, SourceHolds>> {
  const holds = new Map<CopyView, SourceHolds>();
  for (const view of views) {
    try {
      holds.set(view, await readHolds(view.repository, view.source));
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
    }
  }
  return holds;
}

/** A mark that any copy has. */
function marked(holds: ReadonlyMap<CopyView, SourceHolds>, pick: (holds: SourceHolds) => HoldMark | null): HoldMark | null {
  for (const each of holds.values()) {
    const mark = pick(each);
    if (mark !== null) return mark;
  }
  return null;
}

function expiryOf({ views, former, rules, now }: InfoRequest, holds: ReadonlyMap<CopyView, SourceHolds>): Map<string, { heldBy: readonly string[]; expiresAt: Date | null }> {
  const [first] = views;
  if (rules === null || first === undefined) return new Map();
  const ofCopy = [first, ...former.filter(({ repository }) => repository === first.repository)];
  const backups = ofCopy.flatMap(({ listing }) => listing.backups).map(({ manifest }) => retained(toRetain(manifest), holds.get(first) ?? NONE));
  return new Map(planExpiry({ backups, rules, now }).map((decision) => [decision.id, decision]));
}
