import { differencesFrom, emptiedSince } from "../../domain/source-facts.ts";
import type { SourceFacts } from "../../domain/source-facts.ts";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { DamageError, messageOf } from "../../errors.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";
import { countRestored, sourceFactsSchema } from "../../postgres/source-facts.ts";
import { parseJson, parsePayload } from "../../repository/document.ts";
import { keys } from "../../repository/layout.ts";
import type { ClusterManifest, StoredManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";
import type { RestorePlan } from "../restore/plan-restore.ts";
import { openChain } from "../restore/open-chain.ts";
import { readFile } from "../restore/restore-files.ts";

const FACTS = "//facts.json";
const MOST_SHOWN = 5;

/** Holds what was restored against what the source said of itself, and what it said against what it said at the backup before. Differences are warnings: the numbers are estimates, and time went by. */
export async function checkFacts(plan: RestorePlan, cluster: Pick<ScratchCluster, "connect">): Promise<DrillCheckResult[]> {
  const facts = await readFacts(plan.view, plan.stored);
  if (facts === null) return [];
  const checks: DrillCheckResult[] = [];
  for (const then of facts.databases) checks.push(await compareDatabase(then, facts, cluster));
  const before = previousOf(plan);
  const earlier = before === null ? null : await readFacts(plan.view, before).catch(nothingOfIt);
  const emptied = earlier === null ? [] : emptiedSince(earlier, facts);
  checks.push(resultOf("tables that were emptied", emptied, "none that held rows at the backup before", "source"));
  return checks;
}

async function compareDatabase(then: SourceFacts["databases"][number], { lsn, readAt }: SourceFacts, cluster: Pick<ScratchCluster, "connect">): Promise<DrillCheckResult> {
  const name = `as the source said (${then.name})`;
  try {
    await using connection = await cluster.connect(then.name);
    const differences = differencesFrom(then, await countRestored(connection.client, then));
    return resultOf(name, differences, `schema, extensions and rows are as at ${lsn}, ${readAt}`, "backup");
  } catch (error) {
    // It was dropped since, or its tables cannot be read: then other checks fail.
    return resultOf(name, [`it cannot be looked at: ${messageOf(error)}`], "", "backup");
  }
}

function resultOf(name: string, findings: readonly string[], fine: string, fault: DrillCheckResult["fault"]): DrillCheckResult {
  const more = findings.length - MOST_SHOWN;
  const detail = findings.length === 0 ? fine : `${findings.slice(0, MOST_SHOWN).join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
  return { name, required: false, outcome: findings.length === 0 ? "pass" : "warn", detail, fault };
}

/** The backup before the one that was restored, of the same cluster in the same copy. */
function previousOf({ view, stored, history }: RestorePlan): StoredManifest<ClusterManifest> | null {
  const backups = view.backupsOn(history);
  const at = backups.findIndex(({ manifest }) => manifest.id === stored.manifest.id);
  return at > 0 ? (backups[at - 1] ?? null) : null;
}

/** Another backup is not what is being proved: what is wrong with it is for `verify` to say. */
function nothingOfIt(error: unknown): null {
  if (error instanceof DamageError) return null;
  throw error;
}

/** Null for a backup of an earlier version, which has none. */
async function readFacts(view: CopyView, stored: StoredManifest<ClusterManifest>): Promise<SourceFacts | null> {
  const { manifest } = stored;
  const chain = await openChain({ view, stored });
  const root = await chain.root(manifest.id);
  for (const ref of root.late)
    for (const entry of await chain.chunk(ref))
      if (entry.type === "file" && entry.path === FACTS) {
        const key = keys.manifest(manifest.source, manifest.id);
        return parsePayload(key, parseJson(key, await readFile(chain, entry, manifest.postgres.blockSize)), sourceFactsSchema);
      }
  return null;
}
