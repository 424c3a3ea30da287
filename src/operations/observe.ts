import { recordExposure } from "../catalog/observations.ts";
import { RESTATED, restatementsOf } from "../catalog/restatements.ts";
import { listRuns } from "../catalog/runs.ts";
import { listVerified } from "../catalog/verified.ts";
import { summariseLedger } from "../catalog/verify-ledger.ts";
import { readSnapshot, saveSnapshot } from "../catalog/snapshots.ts";
import type { ExposureView, LastProof, SourceInfo } from "../domain/source-info.ts";
import { settledWithin, stopwatch } from "../clock.ts";
import { completeUntilNow, exposureBytes, exposureSeconds } from "../domain/exposure.ts";
import { planRestatements } from "../domain/restatement.ts";
import { formatMicros } from "../domain/timestamp.ts";
import { HoldfastError } from "../errors.ts";
import type { SourceConfig } from "../policy/types.ts";
import { CopyView } from "./copy-view.ts";
import { findLag } from "./copy/find-lag.ts";
import { describeSource, reachOf, readServerPosition } from "./info.ts";
import type { ServerPosition } from "./info.ts";
import { repositoriesOf } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { askLocks, keepLocks } from "./look-at-locks.ts";
import { recordEntry } from "./record-run.ts";

/** Looks at one source: all its copies, and its server. What cannot be reached is unknown, and said to be; `onUnreachable` is told why a copy was not read. `locks`: whether stores are asked now until when backups are locked, or what was seen before is kept for a while; else nobody looks. */
export async function observeSource(installation: Installation, source: SourceConfig, options: LookOptions = {}): Promise<SourceInfo> {
  return (await lookAtSource(installation, source, options)).info;
}

interface LookOptions {
  readonly onUnreachable?: (repository: string, error: HoldfastError) => void;
  readonly locks?: "ask" | "keep";
}

/** With the moment of which its exposure is, by our clock, and how it was seen the time before. */
async function lookAtSource(
  installation: Installation,
  source: SourceConfig,
  { onUnreachable = () => undefined, locks }: LookOptions,
): Promise<{ info: SourceInfo; exposedAt: Date; before: SourceInfo | null }> {
  const elapsed = stopwatch(installation.clock);
  const looks = await Promise.all(repositoriesOf(source).map((name) => look(installation, source.name, name)));
  const views = looks.flatMap(({ view }) => view ?? []);
  const former = looks.flatMap((each) => each.former);
  const unreachable = looks.flatMap(({ name, error }) => (error === null ? [] : [{ name, error }]));
  for (const { name, error } of unreachable) onUnreachable(name, error);
  // Without the address (its variable is not set here) the server is as unknown as when it does not answer.
  const target = await installation.target(source).catch((error: unknown) => {
    if (error instanceof HoldfastError) return null;
    throw error;
  });
  const asked = target === null ? null : await readServerPosition(target, installation.clock);
  // We were stopped in between: what the copies held then says nothing of what they hold now.
  const server = elapsed() > MOST_LOOK_SECONDS ? null : asked;
  const before = ofSameCluster(readSnapshot(installation.catalog, source.name)?.info ?? null, views);
  const all = [...views, ...former];
  const seenLocks = locks === undefined ? null : await (locks === "ask" ? askLocks(all, installation.clock.now()) : keepLocks(all, before, installation.clock));
  const info = await describeSource({
    name: source.name,
    views,
    former,
    server,
    verified: listVerified(installation.catalog, source.name),
    lastProof: lastProofOf(installation, source.name),
    exposureBefore: before?.exposure ?? [],
    lagging: findLag(views, source.policy, installation.clock.now()),
    verification: summariseLedger(installation.catalog, source.name),
    rules: new Map([...source.policy.backups].map(([type, rule]) => [type, rule.retention])),
    logRepositories: source.policy.log?.repositories ?? [],
    ...(seenLocks === null ? {} : { locks: seenLocks }),
    now: installation.clock.now(),
  });
  const exposure = [...info.exposure, ...unreachable.map(({ name }) => exposureOfUnreachable(name, before, server))];
  return { info: { ...info, exposure, commits: source.kind === "postgres" ? (server?.commits ?? null) : null }, exposedAt: server?.at ?? installation.clock.now(), before };
}

/** What was seen of another cluster, before the source was bound to this one, is no beginning to go on from. Where no copy can be looked at, nobody says that it is another. */
function ofSameCluster(before: SourceInfo | null, [view]: readonly CopyView[]): SourceInfo | null {
  return view === undefined || before?.systemIdentifier === view.systemIdentifier ? before : null;
}

interface Look {
  readonly name: string;
  /** Null where it holds nothing of the source, or could not be looked at. */
  readonly view: CopyView | null;
  readonly former: readonly CopyView[];
  readonly error: HoldfastError | null;
}

/** A store that does not answer must not keep us from the others: with all its tries, it would for minutes. */
const LOOK_WITHIN_MS = 20_000;
/** A look that took longer is not of one moment. */
const MOST_LOOK_SECONDS = 30;

async function look(installation: Installation, source: string, name: string): Promise<Look> {
  const { clock } = installation;
  const looking = openView(installation, source, name);
  if (await settledWithin(clock, LOOK_WITHIN_MS, [looking])) return looking;
  const error = new HoldfastError("HF-TIMEOUT", `${name} did not answer within ${LOOK_WITHIN_MS / 1000} s`, { hint: "see 'holdfast check --repository'" });
  return { name, view: null, former: [], error };
}

async function openView(installation: Installation, source: string, name: string): Promise<Look> {
  try {
    const view = await CopyView.open(await installation.repository(name), source);
    return { name, view, former: (await view?.former()) ?? [], error: null };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { name, view: null, former: [], error };
  }
}

/**
 * What a copy that cannot be reached is known to hold is what was last seen there, and the source goes on: so its exposure grows from there. Unknown where it was never seen, or the server
 * cannot be asked.
 */
function exposureOfUnreachable(repository: string, before: SourceInfo | null, server: ServerPosition | null): ExposureView {
  const seen = before?.exposure.find((exposure) => exposure.repository === repository);
  const { recoverableLsn = null, completeUntil = null, observedAt = null } = seen ?? {};
  const reach = reachOf(seen);
  // Seen of another cluster than the server is, it says nothing of this one.
  if (server === null || before?.systemIdentifier !== server.systemIdentifier || reach === null || observedAt === null)
    return { repository, seconds: null, bytes: null, observedAt: null, recoverableLsn, completeUntil };
  const to = completeUntilNow(reach, null, server);
  const input = { ...reach, completeUntil: to, serverPosition: server.position, serverNow: server.now };
  return { repository, seconds: exposureSeconds(input), bytes: exposureBytes(input), observedAt, recoverableLsn, completeUntil: to === null ? null : formatMicros(to) };
}

/** As above, kept for those who ask later: a snapshot, a sample of each copy's exposure, and on record where earlier samples turn out to have been wrong. */
export async function observeAndKeep(installation: Installation, source: SourceConfig): Promise<SourceInfo> {
  const { info, exposedAt, before } = await lookAtSource(installation, source, { locks: "keep" });
  const at = installation.clock.now();
  // First: once the gap is in what was seen, nobody knows any more that it was not.
  for (const restated of planRestatements(info, { before, known: restatementsOf(installation.catalog, source.name) }, at))
    await recordEntry(installation.journal, RESTATED, { source: source.name, ...restated, reason: "WAL that was thought to be there is missing" });
  saveSnapshot(installation.catalog, at, info);
  for (const { repository, seconds, bytes } of info.exposure)
    recordExposure(installation.catalog, { source: source.name, repository, at: exposedAt.toISOString(), seconds, bytes });
  return info;
}

/** The last drill that passed. */
export function lastProofOf(installation: Pick<Installation, "catalog">, source: string): LastProof | null {
  const [run] = listRuns(installation.catalog, { source, operation: "drill", outcome: "succeeded", limit: 1 });
  if (run === undefined) return null;
  const { verdict, backupId, rtoActualSeconds } = run.facts;
  return {
    at: run.finishedAt ?? run.startedAt,
    drill: run.id,
    verdict: typeof verdict === "string" ? verdict : "pass",
    backupId: typeof backupId === "string" ? backupId : null,
    rtoSeconds: typeof rtoActualSeconds === "number" ? rtoActualSeconds : null,
  };
}
