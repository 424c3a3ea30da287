import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { routeFailed, routeState, routeWorked } from "../../catalog/evidence-routes.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { TimestampConfig } from "../../policy/types.ts";
import { STAMPED, stampFacts } from "../../repository/evidence-stamp.ts";
import { keys } from "../../repository/layout.ts";
import { certificatesOf, encodeStampRequest, newNonce, problemWithStamp, readTimeStamp } from "../../repository/time-stamp.ts";
import type { TimeStamp } from "../../repository/time-stamp.ts";
import { openReachable } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry } from "../record-run.ts";
import { askAuthority } from "./ask-authority.ts";

/** `stamped`: there is a new stamp. `unchanged`: nothing was written since the last. `later`: it is not time yet. */
export type StampOutcome = { readonly kind: "stamped"; readonly sequence: number; readonly stamp: TimeStamp } | { readonly kind: "unchanged" | "later" };

/**
 * Has the newest checkpoint of this host stamped by the authority of the inventory, and puts the stamp on record. `force`: also before it is time. What goes wrong is kept where `evidence status` and alerts find
 * it, and thrown.
 */
export async function stampEvidence(installation: Installation, { force, signal }: { force: boolean; signal?: AbortSignal }): Promise<StampOutcome> {
  const { inventory, catalog, clock, journal } = installation;
  const config = inventory.evidence.timestamps;
  const head = await journal.evidence.head();
  if (config === null || head === null) return { kind: "unchanged" };
  const known = routeState(catalog, "timestamps");
  if (known.sequence === head.sequence) return { kind: "unchanged" };
  if (!force && !isDue(known, config, clock.now())) return { kind: "later" };
  try {
    await journal.copyToRepositories();
    const { repository, key, bytes } = await newestCheckpoint(installation);
    const { stamp, answer } = await stampOf(config, bytes, signal);
    const told = { repository, checkpointKey: key, authority: stamp.authority, accuracySeconds: stamp.accuracySeconds };
    const { sequence } = await recordEntry(journal, STAMPED, stampFacts({ ...told, checkpoint: bytes, stamp: answer, at: stamp.at }));
    routeWorked(catalog, { route: "timestamps", sequence, at: stamp.at.toISOString() }, clock.now());
    await journal.copyToRepositories();
    return { kind: "stamped", sequence, stamp };
  } catch (error) {
    signal?.throwIfAborted();
    routeFailed(catalog, { route: "timestamps", error: messageOf(error), diverged: false }, clock.now());
    throw error;
  }
}

/** What failed is tried again whenever somebody comes by. */
function isDue({ lastSuccessAt, failingSince }: ReturnType<typeof routeState>, { everySeconds }: TimestampConfig, now: Date): boolean {
  return failingSince !== null || lastSuccessAt === null || now.getTime() - Date.parse(lastSuccessAt) >= everySeconds * 1000;
}

/** Of this host, in the first repository that has it: the log is the same everywhere. */
async function newestCheckpoint(installation: Installation): Promise<{ repository: string; key: string; bytes: Buffer }> {
  const { inventory, journal } = installation;
  const head = await journal.evidence.head();
  const key = keys.checkpoint(journal.evidence.writer, head?.sequence ?? 0);
  for (const { name, store } of (await openReachable(installation, [...inventory.repositories.keys()])).repositories)
    if ((await store.size(key)) !== null) return { repository: name, key, bytes: await store.read(key) };
  throw new HoldfastError("HF-STORAGE", "no repository has a checkpoint of the newest evidence, which could be stamped", { hint: "see 'holdfast check --repository'" });
}

async function stampOf(config: TimestampConfig, checkpoint: Buffer, signal: AbortSignal | undefined): Promise<{ stamp: TimeStamp; answer: Buffer }> {
  const roots = await readRoots(config.certificates);
  const [sha256, nonce] = [createHash("sha256").update(checkpoint).digest("hex"), newNonce()];
  const answer = await askAuthority(config.authority, await encodeStampRequest(sha256, nonce), signal);
  const stamp = await readTimeStamp(`the answer of ${config.authority}`, answer);
  const problem = stamp.nonce === nonce ? await problemWithStamp(answer, checkpoint, roots) : "it is not the answer to what was asked";
  if (problem === null) return { stamp, answer };
  throw new HoldfastError("HF-CHECK", `the time stamp of ${config.authority} is not to be believed: ${problem}`, {
    hint: "evidence.timestamps.certificates in the inventory names who vouches for the authority",
  });
}

async function readRoots(file: string): Promise<ReturnType<typeof certificatesOf>> {
  try {
    const found = certificatesOf(await readFile(file, "utf8"));
    if (found.length > 0) return found;
  } catch (cause) {
    throw new HoldfastError("HF-CONFIG", `cannot read the certificates of the time-stamp authority: ${messageOf(cause)}`, {
      hint: "evidence.timestamps.certificates names a PEM file",
      cause,
    });
  }
  throw new HoldfastError("HF-CONFIG", `${file} holds no certificate`, { hint: "PEM, as the time-stamp authority publishes it" });
}
