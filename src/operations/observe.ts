import { recordExposure } from "../catalog/observations.ts";
import { listRuns, listVerified } from "../catalog/runs.ts";
import { saveSnapshot } from "../catalog/snapshots.ts";
import type { LastProof, SourceInfo } from "../domain/source-info.ts";
import { HoldfastError } from "../errors.ts";
import type { SourceConfig } from "../policy/types.ts";
import { CopyView } from "./copy-view.ts";
import { describeSource, readServerPosition } from "./info.ts";
import { repositoriesOf } from "./installation.ts";
import type { Installation } from "./installation.ts";

/** Looks at one source: all its copies, and its server. What cannot be reached is unknown, and said to be; `onUnreachable` is told why a copy was not read. */
export async function observeSource(
  installation: Installation,
  source: SourceConfig,
  onUnreachable: (repository: string, error: HoldfastError) => void = () => undefined,
): Promise<SourceInfo> {
  const views: CopyView[] = [];
  const unreachable: string[] = [];
  for (const name of repositoriesOf(source)) {
    try {
      const view = await CopyView.open(await installation.repository(name), source.name);
      if (view !== null) views.push(view);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      unreachable.push(name);
      onUnreachable(name, error);
    }
  }
  // Without the address (its variable is not set here) the server is as unknown as when it does not answer.
  const target = await installation.target(source).catch((error: unknown) => {
    if (error instanceof HoldfastError) return null;
    throw error;
  });
  const info = await describeSource({
    name: source.name,
    views,
    server: target === null ? null : await readServerPosition(target),
    verified: listVerified(installation.catalog, source.name),
    lastProof: lastProofOf(installation, source.name),
    rules: new Map([...source.policy.backups].map(([type, rule]) => [type, rule.retention])),
    now: installation.clock.now(),
  });
  return { ...info, exposure: [...info.exposure, ...unreachable.map((repository) => ({ repository, seconds: null, bytes: null, observedAt: null }))] };
}

/** As above, kept for those who ask later: a snapshot, and a sample of each copy's exposure. */
export async function observeAndKeep(installation: Installation, source: SourceConfig): Promise<SourceInfo> {
  const info = await observeSource(installation, source);
  const at = installation.clock.now();
  saveSnapshot(installation.catalog, at, info);
  for (const { repository, seconds, bytes } of info.exposure) recordExposure(installation.catalog, { source: source.name, repository, at: at.toISOString(), seconds, bytes });
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
