import { chown, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { stopwatch } from "../../clock.ts";
import { judgeDrill } from "../../domain/drill-verdict.ts";
import type { DrillCheckResult, DrillFacts, DrillSegregation, DrillVerdict } from "../../domain/drill-verdict.ts";
import type { Fallback } from "../../domain/fallback.ts";
import { formatLsn } from "../../domain/lsn.ts";
import { describeTarget } from "../../domain/restore-target.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import { fromDate } from "../../domain/timestamp.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { requireBinaries } from "../../postgres/binaries.ts";
import { requireReachable } from "../../postgres/process.ts";
import type { RunAs } from "../../postgres/process.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import { startScratchCluster } from "../../postgres/scratch-cluster.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { checkSoundness } from "./drill-checks.ts";
import { blameForStructures, checkSourcePages, faultOf } from "./drill-faults.ts";
import { checkFacts } from "./facts-check.ts";
import { checkReached, readReached } from "../restore/reached.ts";
import type { Reached } from "../restore/reached.ts";
import { ageOfBeat, readHeartbeat } from "./heartbeat.ts";
import type { Heartbeat } from "../../catalog/observations.ts";
import { planRestore } from "../restore/plan-restore.ts";
import type { RestorePlan } from "../restore/plan-restore.ts";
import { openChain } from "../restore/open-chain.ts";
import { restore } from "../restore/restore.ts";
import { KEPT_MARKER } from "./sweep-scratch.ts";
import { runUserChecks } from "./user-checks.ts";
import type { UserCheck } from "./user-checks.ts";

export interface DrillRequest {
  readonly id: string;
  readonly view: CopyView;
  /** Copies that would have come first, and could not be looked at. */
  readonly passedOver?: readonly Fallback[];
  readonly target: RestoreTarget;
  readonly backup: string | null;
  readonly scratchDirectory: string;
  readonly binaries: readonly string[];
  readonly runAs: RunAs | null;
  /** The most that scratch clusters may take of the disk; null: no limit but the disk. */
  readonly maxBytes: number | null;
  readonly memoryBytes: number | null;
  readonly objectives: { readonly rtoSeconds: number | null; readonly rpoSeconds: number | null };
  readonly checks: readonly UserCheck[];
  /** The heartbeat that must be found at the target, by what was recorded on the way; null where none is kept. */
  readonly heartbeat: { readonly database: string; expectedAt(lsn: string): Heartbeat | null } | null;
  readonly segregation: DrillSegregation;
  readonly keep: boolean;
}

export interface DrillResult extends DrillFacts {
  readonly id: string;
  readonly verdict: DrillVerdict;
  readonly reasons: readonly string[];
  readonly repository: string;
  readonly target: string;
  readonly checks: readonly DrillCheckResult[];
  readonly bytes: number | null;
  readonly walSegments: number | null;
  readonly keptAt: string | null;
  /** What another copy gave, because the one that is named could not. */
  readonly fallbacks: readonly Fallback[];
  readonly segregation: DrillSegregation;
}

/** Restores what would really be used into a scratch cluster, replays it to the point, checks it, times it, and takes it away again. Never throws for what the backup did wrong. */
export async function drill(request: DrillRequest, context: OperationContext): Promise<DrillResult> {
  const attempt = new DrillAttempt(request, context);
  try {
    await attempt.run();
  } catch (error) {
    context.signal.throwIfAborted();
    attempt.fail(error);
  } finally {
    await attempt.cleanUp();
  }
  return attempt.result();
}

class DrillAttempt {
  readonly #request: DrillRequest;
  readonly #context: OperationContext;
  readonly #declared: () => number;
  readonly #declaredAt: Date;
  readonly #folder: string;
  readonly #phases: { name: string; seconds: number }[] = [];
  readonly #checks: DrillCheckResult[] = [];
  #plan: RestorePlan | null = null;
  #cluster: ScratchCluster | null = null;
  #reached: Reached | null = null;
  #heartbeatOk: boolean | null = null;
  #rtoSeconds: number | null = null;

  constructor(request: DrillRequest, context: OperationContext) {
    this.#request = request;
    this.#context = context;
    this.#declared = stopwatch(context.clock);
    this.#declaredAt = context.clock.now();
    this.#folder = path.join(request.scratchDirectory, request.id);
  }

  async run(): Promise<void> {
    const { view, target, backup } = this.#request;
    const plan = await this.#phase("plan", () => planRestore(view, { target, backup, timeline: "latest", exclusive: false, acceptGap: false }));
    this.#plan = plan;
    this.#refuseTooLarge(plan);
    await this.#phase("restore", () => this.#restore(plan));
    const cluster = await this.#phase("start", () => this.#start(plan));
    await this.#phase("recover", () => cluster.waitUntilPromoted(this.#context.signal));
    await this.#phase("check", () => this.#check(plan, cluster));
    this.#rtoSeconds = this.#declared();
  }

  #refuseTooLarge({ bytes, walBytes }: RestorePlan): void {
    const { maxBytes } = this.#request;
    if (maxBytes !== null && bytes + walBytes > maxBytes)
      throw new HoldfastError("HF-SPACE", `the restored cluster would take ${bytes + walBytes} bytes, and scratch.maxBytes is ${maxBytes}`, {
        hint: "raise scratch.maxBytes in the inventory",
      });
  }

  /** An error before the checks is the backup's fault unless it says otherwise. */
  fail(error: unknown): void {
    const fault = faultOf(error);
    this.#checks.push({ name: "recovery", required: true, outcome: "fail", detail: messageOf(error), fault });
  }

  async cleanUp(): Promise<void> {
    await this.#phase("clean up", async () => {
      await this.#cluster?.[Symbol.asyncDispose]();
      if (this.#request.keep) await writeFile(path.join(this.#folder, KEPT_MARKER), "");
      else await removeTree(this.#folder);
    });
  }

  result(): DrillResult {
    const { id, view, target, objectives, keep, passedOver = [] } = this.#request;
    const fallbacks = [...passedOver, ...view.fallbacks];
    const rpoActualSeconds = this.#rpo();
    const measured = { rtoActualSeconds: this.#rtoSeconds, rtoObjectiveSeconds: objectives.rtoSeconds, rpoActualSeconds, rpoObjectiveSeconds: objectives.rpoSeconds };
    const { verdict, fault, reasons } = judgeDrill({ checks: [...this.#checks, ...fallbacks.map(warnOf)], ...measured });
    return {
      id,
      verdict,
      fault,
      reasons,
      backupId: this.#plan?.stored.manifest.id ?? null,
      repository: view.repository.name,
      target: describeTarget(target),
      expectedLsn: this.#plan === null ? null : formatLsn(this.#plan.resolved.end),
      achievedLsn: this.#reached?.lsn === null || this.#reached === null ? null : formatLsn(this.#reached.lsn),
      heartbeatOk: this.#heartbeatOk,
      ...measured,
      phases: this.#phases,
      checks: [...this.#checks, ...fallbacks.map(warnOf)],
      bytes: this.#plan?.bytes ?? null,
      walSegments: this.#plan?.resolved.segments.length ?? null,
      keptAt: keep ? this.#folder : null,
      fallbacks,
      segregation: this.#request.segregation,
    };
  }

  /** For the latest point: how long before the declaration the copy was last known to have everything. For another: how far the newest transaction found lies before it. */
  #rpo(): number | null {
    if (this.#plan === null || this.#reached === null) return null;
    const { target, resolved, view, history } = this.#plan;
    const aimedAt = target.kind === "latest" ? fromDate(this.#declaredAt) : target.kind === "time" ? target.time : null;
    if (aimedAt === null) return null;
    // What the server reports leaves out the record it stopped after; that one was checked by its transaction.
    const found = resolved.lastCommit?.start === resolved.record ? resolved.lastCommit.at : (this.#reached.lastCommitAt ?? resolved.lastCommit?.at ?? null);
    const covered = view.coveredUntil(history, resolved.walEnd);
    const upTo = covered !== null && (found === null || covered > found) ? covered : found;
    return upTo === null ? null : Math.max(0, Number(aimedAt - upTo) / 1_000_000);
  }

  async #phase<T>(name: string, act: () => Promise<T>): Promise<T> {
    const elapsed = stopwatch(this.#context.clock);
    this.#context.onProgress({ phase: name, doneBytes: 0, totalBytes: null });
    try {
      return await act();
    } finally {
      this.#phases.push({ name, seconds: elapsed() });
    }
  }

  async #restore(plan: RestorePlan): Promise<void> {
    const { runAs } = this.#request;
    await mkdir(path.dirname(this.#folder), { recursive: true });
    await requireReachable(path.dirname(this.#folder), runAs);
    await mkdir(this.#folder, { mode: 0o700 });
    if (runAs !== null) await chown(this.#folder, runAs.uid, runAs.gid);
    const tablespaces = await this.#tablespaces(plan);
    await restore(
      {
        plan,
        target: path.join(this.#folder, "data"),
        tablespaces,
        owner: runAs,
        action: "promote",
        socketDirectory: this.#folder,
        port: 5432,
        ...(this.#request.memoryBytes === null ? {} : { sharedBuffersMaxBytes: this.#request.memoryBytes / 4 }),
      },
      this.#context,
    );
  }

  /** Every tablespace of the source gets a folder of its own here. */
  async #tablespaces(plan: RestorePlan): Promise<Map<string, string>> {
    const chain = await openChain(plan);
    const places = new Map<string, string>();
    for await (const entry of chain.entries(plan.stored.manifest.id))
      if (entry.type === "tablespace") places.set(entry.target, path.join(this.#folder, `tablespace-${places.size}`));
    return places;
  }

  async #start(plan: RestorePlan): Promise<ScratchCluster> {
    const { postgres } = plan.stored.manifest;
    const binaries = await requireBinaries(this.#request.binaries, majorOf(postgres.version));
    this.#cluster = await startScratchCluster({
      binaries,
      dataDirectory: path.join(this.#folder, "data"),
      runAs: this.#request.runAs,
      superuser: postgres.bootstrapRole,
      clock: this.#context.clock,
      memoryBytes: this.#request.memoryBytes,
    });
    return this.#cluster;
  }

  async #check(plan: RestorePlan, cluster: ScratchCluster): Promise<void> {
    {
      await using connection = await cluster.connect("postgres").catch(() => cluster.connect("template1"));
      this.#reached = await readReached(connection.client);
      this.#checks.push(...(await checkReached(connection.client, this.#reached, plan.resolved, plan.view.place.segmentBytes)));
    }
    await this.#checkHeartbeat(plan, cluster);
    this.#checks.push(...(await checkFacts(plan, cluster)));
    this.#checks.push(...(await runUserChecks(this.#request.checks, cluster, this.#context.signal)));
    const { manifest } = plan.stored;
    this.#checks.push(checkSourcePages(manifest), ...blameForStructures(await checkSoundness(cluster, this.#context.signal), manifest));
  }

  async #checkHeartbeat(plan: RestorePlan, cluster: ScratchCluster): Promise<void> {
    const { heartbeat } = this.#request;
    const expected = heartbeat?.expectedAt(formatLsn(plan.resolved.end)) ?? null;
    if (heartbeat === null || expected === null) return;
    const found = await readHeartbeat(cluster, heartbeat.database);
    this.#heartbeatOk = found !== null && found >= expected.sequence;
    const common = { name: "heartbeat", required: true } as const;
    this.#checks.push({
      ...common,
      outcome: this.#heartbeatOk ? "pass" : "fail",
      detail: `expected at least ${expected.sequence}, found ${found ?? "none"}`,
      fault: "backup",
    });
    this.#checks.push({ ...common, name: "heartbeat age", ...this.#heartbeatAge(plan, expected), fault: "source" });
  }

  /** A beat that is older than the recovery point objective allows proves nothing about the work since: it stopped in the source, and nobody can say what a restore would lack. */
  #heartbeatAge({ target }: RestorePlan, beat: Heartbeat): Pick<DrillCheckResult, "outcome" | "detail"> {
    const { rpoSeconds } = this.#request.objectives;
    const at = target.kind === "latest" ? fromDate(this.#declaredAt) : target.kind === "time" ? target.time : null;
    if (at === null || rpoSeconds === null) return { outcome: "pass", detail: `the last one before the target is of ${beat.at}` };
    const seconds = ageOfBeat(beat, at);
    const detail = `the last one before the target is of ${beat.at}, ${seconds.toFixed(1)} s before it; the objective is ${rpoSeconds} s`;
    return { outcome: seconds <= rpoSeconds ? "pass" : "fail", detail };
  }
}

/** The restore was good, and a copy is not. */
export function warnOf({ repository, object, reason, servedBy }: Fallback): DrillCheckResult {
  return {
    name: "copy",
    required: false,
    outcome: "warn",
    detail: `${repository} could not give ${object === "" ? "anything" : object}, ${servedBy} did: ${reason}`,
    fault: "backup",
  };
}
