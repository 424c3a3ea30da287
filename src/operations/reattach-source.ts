import { formatLsn, lsn, maxLsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { judgeReattachment } from "../domain/reattachment.ts";
import type { HeldHistory, Reattachment, ServerState } from "../domain/reattachment.ts";
import type { BackupView } from "../domain/source-info.ts";
import { emptyHistory } from "../domain/timeline.ts";
import { HoldfastError } from "../errors.ts";
import type { SourceConfig } from "../policy/types.ts";
import { connect, queryRow, text } from "../postgres/connection.ts";
import { readIdentity } from "../postgres/server-identity.ts";
import { bindBranch, branchOf, readBinding } from "../repository/binding.ts";
import type { WritableRepository } from "../repository/repository.ts";
import { runBackup } from "./backup/run-backup.ts";
import { openClusterReader, readServerHistory } from "./cluster-state.ts";
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
  readonly timeline: number;
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
 */
export async function reattachSource(installation: Installation, source: SourceConfig, context: OperationContext): Promise<ReattachedView> {
  if (source.kind !== "postgres") throw new HoldfastError("HF-USAGE", `${source.name} is no cluster: there is no log to go on with`, { hint: "take a backup of it as it is now" });
  const target = await installation.target(source);
  const server = await readServer(target, context);
  const { repositories, away } = await openReachable(installation, repositoriesOf(source));
  const found = await Promise.all(repositories.map(async (repository) => ({ repository, judged: await judge(repository, source.name, server) })));
  for (const { repository, judged } of found)
    if (judged.kind === "refused") throw new HoldfastError(judged.code, `${repository.name}: ${judged.reason}`, { hint: judged.hint, facts: { repository: repository.name } });
  const forked = found.flatMap(({ repository, judged }) => (judged.kind === "forked" ? [{ repository, ...judged }] : []));
  for (const { repository, branch } of forked) await bindBranch(repository, source.name, branch, installation.clock.now());
  const facts = describe(server, forked);
  await recordEntry(installation.journal, "source.reattached", {
    source: source.name,
    ...facts,
    repositories: forked.map(({ repository }) => repository.name),
    notReached: namesOf(away),
  });
  if (source.policy.log !== null) await runLogOnce(installation, { source, ...BY_HAND }, context);
  const backup = await runBackup(installation, { source, type: "full", wait: true, ...BY_HAND }, context);
  await installation.journal.copyToRepositories();
  return { source: source.name, ...facts, slot: source.policy.log === null ? null : slotName(source.name), backup, notReached: namesOf(away) };
}

function namesOf(away: readonly Away[]): string[] {
  return away.map(({ name }) => name);
}

async function readServer(target: SourceTarget, context: OperationContext): Promise<ServerState> {
  await using connection = await connect(target, { purpose: "reattach" });
  const identity = await readIdentity(connection.client);
  if (identity.inRecovery)
    throw new HoldfastError("HF-SERVER", "the server is a standby, or still recovers", { hint: "promote it first, or wait until its recovery has ended; nothing was touched" });
  await using reader = await openClusterReader(target, identity);
  const { history } = await readServerHistory(reader, identity.timeline, context.signal);
  const row = await queryRow(connection.client, "select pg_current_wal_flush_lsn()::text as lsn");
  return { systemIdentifier: identity.systemIdentifier, history, position: parseLsn(text(row, "lsn")) };
}

async function judge(repository: WritableRepository, source: string, server: ServerState): Promise<Reattachment> {
  const [view, binding] = await Promise.all([CopyView.open(repository, source), readBinding(repository, source)]);
  if (view === null) return { kind: "attached" };
  const [damaged] = view.damage.values();
  // Which branches there are is not known then.
  if (damaged !== undefined) throw damaged;
  return judgeReattachment(server, { systemIdentifier: view.systemIdentifier, histories: view.histories, ends: endsIn(view), branch: branchOf(binding) });
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
