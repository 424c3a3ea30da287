import { formatLsn, lsn, maxLsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { judgeReattachment } from "../domain/reattachment.ts";
import type { HeldHistory, Reattachment, ServerState } from "../domain/reattachment.ts";
import type { BackupView } from "../domain/source-info.ts";
import { emptyHistory } from "../domain/timeline.ts";
import { HoldfastError } from "../errors.ts";
import type { LogicalSource, SourceConfig } from "../policy/types.ts";
import { connect, queryRow, text } from "../postgres/connection.ts";
import { readIdentity } from "../postgres/server-identity.ts";
import { bindBranch, bindCluster, branchOf, readBinding, systemIdentifierOf } from "../repository/binding.ts";
import type { StoredBranch } from "../repository/binding.ts";
import type { WritableRepository } from "../repository/repository.ts";
import { lookAtServer } from "./backup/back-up-dumps.ts";
import { runBackup } from "./backup/run-backup.ts";
import { openClusterReader, readControlFile, readServerHistory } from "./cluster-state.ts";
import type { OperationContext } from "./context.ts";
import { CopyView } from "./copy-view.ts";
import { openReachable, repositoriesOf } from "./installation.ts";
import type { Away, Installation } from "./installation.ts";
import { BY_HAND, recordEntry } from "./record-run.ts";
import { slotName } from "./source-target.ts";
import type { SourceTarget } from "./source-target.ts";
import { runLogOnce } from "./wal/run-log.ts";

export interface ReattachedView {
  readonly source: string;
  readonly systemIdentifier: string;
  /** The cluster that the source was bound to until now, if it was another: what it wrote is kept. */
  readonly formerSystemIdentifier: string | null;
  /** Null: databases by `pg_dump` have none. */
  readonly timeline: number | null;
  /** Null: the server goes on where the copies are, and there was no fork to follow. */
  readonly parentTimeline: number | null;
  readonly forkLsn: string | null;
  /** What the old timeline had beyond the fork: kept, and never the source's again. */
  readonly abandoned: { readonly timeline: number; readonly fromLsn: string; readonly toLsn: string } | null;
  /** The slot that keeps WAL for us on the new server; null: the policy has no log. */
  readonly slot: string | null;
  readonly backup: BackupView;
  /** Repositories that could not be reached: there it is to be done again. */
  readonly notReached: readonly string[];
}

/**
 * Binds a source to the server that its address leads to now: one that was brought back, or promoted, and goes on from what is stored on a timeline of its own. Everything is checked before anything
 * is changed; then WAL streams from there, and a full backup begins the new time. Done again after having been interrupted it does what is left.
 *
 * `cluster`: the system identifier of another cluster that the source is from now on, one that was upgraded or made anew. It is named by whoever asks, so that no server becomes the source by being behind
 * the address. Null: only the cluster that the source is.
 */
export async function reattachSource(installation: Installation, source: SourceConfig, cluster: string | null, context: OperationContext): Promise<ReattachedView> {
  if (source.kind === "postgres-logical" && cluster !== null) return reattachDumps(installation, source, cluster, context);
  if (source.kind !== "postgres") throw new HoldfastError("HF-USAGE", `${source.name} is no cluster: there is no log to go on with`, { hint: "take a backup of it as it is now" });
  const target = await installation.target(source);
  const server = await readServer(target, context);
  requireNamed(server.systemIdentifier, cluster);
  const { repositories, away } = await openReachable(installation, repositoriesOf(source));
  const found = await Promise.all(repositories.map(async (repository) => ({ repository, ...(await judge(repository, source.name, { server, cluster })) })));
  for (const { repository, judged } of found)
    if (judged.kind === "refused") throw new HoldfastError(judged.code, `${repository.name}: ${judged.reason}`, { hint: judged.hint, facts: { repository: repository.name } });
  const left = found.flatMap(({ boundTo }) => (boundTo === null || boundTo === server.systemIdentifier ? [] : [boundTo]));
  for (const { repository, branch } of left.length === 0 ? [] : found) await bindCluster(repository, source.name, { ...clusterOf(server), branch }, installation.clock.now());
  const forked = found.flatMap(({ repository, judged }) => (judged.kind === "forked" ? [{ repository, ...judged }] : []));
  for (const { repository, branch } of forked) await bindBranch(repository, source.name, branch, installation.clock.now());
  const facts = { ...describe(server, forked), formerSystemIdentifier: left[0] ?? null };
  await recordEntry(installation.journal, "source.reattached", {
    source: source.name,
    ...facts,
    repositories: (left.length === 0 ? forked : found).map(({ repository }) => repository.name),
    notReached: namesOf(away),
  });
  if (source.policy.log !== null) await runLogOnce(installation, { source, ...BY_HAND }, context);
  const backup = await runBackup(installation, { source, type: "full", wait: true, ...BY_HAND }, context);
  await installation.journal.copyToRepositories();
  return { source: source.name, ...facts, slot: source.policy.log === null ? null : slotName(source.name), backup, notReached: namesOf(away) };
}

/** Of databases by `pg_dump` there is no log, and no timeline: only the server that they are of is another. */
async function reattachDumps(installation: Installation, source: LogicalSource, cluster: string, context: OperationContext): Promise<ReattachedView> {
  const { systemIdentifier, version } = await lookAtServer((await installation.target(source)).url);
  requireNamed(systemIdentifier, cluster);
  const { repositories, away } = await openReachable(installation, repositoriesOf(source));
  const before = await Promise.all(repositories.map(async (repository) => readBinding(repository, source.name)));
  const former = before.flatMap((binding) => (binding === null ? [] : (systemIdentifierOf(binding) ?? []))).find((identifier) => identifier !== cluster) ?? null;
  for (const repository of repositories) await bindCluster(repository, source.name, { kind: source.kind, systemIdentifier, version }, installation.clock.now());
  const facts = { systemIdentifier: cluster, formerSystemIdentifier: former, timeline: null, parentTimeline: null, forkLsn: null, abandoned: null };
  const bound = { repositories: repositories.map(({ name }) => name), notReached: namesOf(away) };
  await recordEntry(installation.journal, "source.reattached", { source: source.name, ...facts, ...bound });
  const backup = await runBackup(installation, { source, type: "full", wait: true, ...BY_HAND }, context);
  await installation.journal.copyToRepositories();
  return { source: source.name, ...facts, slot: null, backup, notReached: bound.notReached };
}

function requireNamed(found: string | null, cluster: string | null): void {
  if (cluster === null || cluster === found) return;
  throw new HoldfastError("HF-OTHER-CLUSTER", `the server is cluster ${found ?? "unknown"}, and not ${cluster}`, {
    hint: "does the source's address lead to it already? nothing was touched",
  });
}

function namesOf(away: readonly Away[]): string[] {
  return away.map(({ name }) => name);
}

/** What a source is bound to. */
interface FoundServer extends ServerState {
  readonly version: number;
  readonly walSegmentBytes: number;
}

function clusterOf({ systemIdentifier, version, walSegmentBytes }: FoundServer): { kind: "postgres"; systemIdentifier: string; version: number; walSegmentBytes: number } {
  return { kind: "postgres", systemIdentifier, version, walSegmentBytes };
}

async function readServer(target: SourceTarget, context: OperationContext): Promise<FoundServer> {
  await using connection = await connect(target, { purpose: "reattach" });
  const identity = await readIdentity(connection.client);
  if (identity.inRecovery)
    throw new HoldfastError("HF-SERVER", "the server is a standby, or still recovers", { hint: "promote it first, or wait until its recovery has ended; nothing was touched" });
  await using reader = await openClusterReader(target, identity);
  const { history } = await readServerHistory(reader, identity.timeline, context.signal);
  const { walSegmentBytes } = await readControlFile(reader, identity, context.signal);
  const row = await queryRow(connection.client, "select pg_current_wal_flush_lsn()::text as lsn");
  const { systemIdentifier, version } = identity;
  return { systemIdentifier, version, walSegmentBytes, history, position: parseLsn(text(row, "lsn")) };
}

interface Judged {
  readonly judged: Reattachment;
  /** The cluster that the source is bound to here; null: to none. */
  readonly boundTo: string | null;
  /** Of the server's cluster, if the source was bound to that before. */
  readonly branch: StoredBranch | undefined;
}

/** By what the copy holds of the cluster that the server is; where another one is named, which it was perhaps before. */
async function judge(repository: WritableRepository, source: string, { server, cluster }: { server: ServerState; cluster: string | null }): Promise<Judged> {
  const view = await CopyView.open(repository, source);
  if (view === null) return { judged: { kind: "attached" }, boundTo: null, branch: undefined };
  const boundTo = view.systemIdentifier;
  const same = cluster === null || boundTo === cluster ? view : (await view.former()).find(({ systemIdentifier }) => systemIdentifier === cluster);
  if (same === undefined) return { judged: { kind: "attached" }, boundTo, branch: undefined };
  const [damaged] = same.damage.values();
  // Which branches there are is not known then.
  if (damaged !== undefined) throw damaged;
  const binding = same.formerCluster ?? (await readBinding(repository, source));
  const held = { systemIdentifier: same.systemIdentifier, histories: same.histories, ends: endsIn(same), branch: branchOf(binding) };
  return { judged: judgeReattachment(server, held), boundTo, branch: binding?.kind === "postgres" ? binding.branch : undefined };
}

function endsIn(view: CopyView): HeldHistory["ends"] {
  const ends = new Map<number, Lsn>();
  for (const timeline of new Set([1, ...view.histories.keys()])) {
    const end = maxLsn(view.endOfWal(emptyHistory(timeline)), view.reportedOn(timeline) ?? lsn(0n));
    if (end > 0n) ends.set(timeline, end);
  }
  return ends;
}

function describe(
  { systemIdentifier, history }: ServerState,
  forked: readonly Extract<Reattachment, { kind: "forked" }>[],
): Pick<ReattachedView, "systemIdentifier" | "timeline" | "parentTimeline" | "forkLsn" | "abandoned"> {
  const [first] = forked;
  const lost = forked.flatMap(({ abandoned }) => (abandoned === null ? [] : [abandoned]));
  const most = lost.reduce<(typeof lost)[number] | null>((a, b) => (a === null || b.to > a.to ? b : a), null);
  return {
    systemIdentifier,
    timeline: history.timeline,
    parentTimeline: first?.branch.parentTimeline ?? null,
    forkLsn: first === undefined ? null : formatLsn(first.branch.forkLsn),
    abandoned: most === null || first === undefined ? null : { timeline: first.branch.parentTimeline, fromLsn: formatLsn(most.from), toLsn: formatLsn(most.to) },
  };
}
