import { chown, open } from "node:fs/promises";
import path from "node:path";
import { pMapIterable } from "p-map";
import { crashPoint } from "../../crash-points.ts";
import { parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { spansOf } from "../../domain/timeline.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { historyFileName, parseSegmentName, segmentEnd, segmentName, segmentStart } from "../../domain/wal-segment.ts";
import { HoldfastError, must } from "../../errors.ts";
import { checkpointOf } from "../../postgres/checkpoint-records.ts";
import { tablespaceFolder } from "../../postgres/cluster-files.ts";
import { demandsOf, higherDemands, NO_DEMANDS } from "../../postgres/recovery-demands.ts";
import type { RecoveryDemands } from "../../postgres/recovery-demands.ts";
import { STAGED_LIST, STAGED_WAL_FOLDER } from "../../postgres/restored-config.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import { tablespaceMadeBy } from "../../postgres/tablespace-records.ts";
import type { MadeTablespace } from "../../postgres/tablespace-records.ts";
import { WalWalker } from "../../postgres/wal-records.ts";
import { readHistory } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { ownFolder, targetError } from "./restore-files.ts";
import type { RestoreFolder } from "./restore-files.ts";
import { exists } from "./restore-target-folder.ts";
import type { RestorePlan } from "./plan-restore.ts";

/** What replaying the placed WAL demands of the server's settings, and the tablespaces that it makes. */
export interface StagedWal {
  readonly demands: RecoveryDemands;
  readonly tablespaces: readonly MadeTablespace[];
  /** The first transaction that had not begun when the backup did. */
  readonly nextXid: bigint;
}

export interface WalChoice {
  /** Those whose history files are placed. */
  readonly timelines: readonly number[];
  /** Not: the WAL is read and looked at here, and fetched again when it is replayed. */
  readonly place: boolean;
}

/** Segments that are read while others are being written. */
const SEGMENTS_AHEAD = 4;
const AHEAD_BYTES = 64 << 20;

/** Places the WAL of the plan, padded to whole segments, and the history files of these timelines in the target: starting then needs no Holdfast, no key and no repository. */
export async function stageWal(plan: RestorePlan, folder: RestoreFolder, { timelines, place: isPlaced }: WalChoice, context: OperationContext): Promise<StagedWal> {
  const staged = path.join(folder.root, STAGED_WAL_FOLDER);
  const { view, resolved } = plan;
  for (const place of [staged, path.join(folder.root, "pg_wal")]) await ownFolder(place, folder);
  const names: string[] = [];
  for (const timeline of timelines) {
    const content = await readHistory(view.repository, view.place, timeline);
    if (content === null) continue;
    names.push(historyFileName(timeline));
    await writeOwned(path.join(staged, historyFileName(timeline)), content, folder);
  }
  const scanner = new WalScanner(view.place.segmentBytes, parseLsn(plan.stored.manifest.start.lsn));
  let done = 0;
  const ahead = Math.max(1, Math.min(SEGMENTS_AHEAD, Math.floor(AHEAD_BYTES / view.place.segmentBytes)));
  for await (const { name, bytes } of pMapIterable(resolved.segments, async (segment) => ({ name: segment, bytes: await view.read(segment) }), { concurrency: ahead })) {
    context.signal.throwIfAborted();
    scanner.push(name, bytes);
    // An unfinished segment: zeros after the last durable byte, to the full size, or PostgreSQL refuses it.
    const whole = bytes.length === view.place.segmentBytes ? bytes : Buffer.concat([bytes, Buffer.alloc(view.place.segmentBytes - bytes.length)]);
    if (isPlaced) await writeOwned(path.join(staged, name), whole, folder);
    names.push(name);
    for (const older of namesBefore(plan.history, name, view.place.segmentBytes)) await writeOwned(path.join(folder.root, "pg_wal", older), whole, folder);
    crashPoint("restore.wal");
    context.onProgress({ phase: "wal", doneBytes: ++done * view.place.segmentBytes, totalBytes: plan.walBytes });
  }
  await refuseTablespacesInUse(scanner.tablespaces, plan, context);
  await writeOwned(path.join(staged, STAGED_LIST), Buffer.from(`${names.join("\n")}\n`), folder);
  return { demands: scanner.highest, tablespaces: scanner.tablespaces, nextXid: must(scanner.nextXid, "the checkpoint that the backup begins with, in its WAL") };
}

/**
 * Names, on the timelines before, of a segment in which a timeline was left. Recovery asks for it by its newest name only, and yet reads from the disk by the older one what it passed
 * while still on the older timeline: a prepared transaction in front of a shutdown checkpoint, and what the server's own summaries are made of. Without the file it ends there.
 */
function namesBefore(history: TimelineHistory, name: string, segmentBytes: number): string[] {
  const segment = must(parseSegmentName(name, segmentBytes), "a segment");
  const [start, end] = [segmentStart(segment, segmentBytes), segmentEnd(segment, segmentBytes)];
  return spansOf(history)
    .filter((span) => span.timeline < segment.timeline && span.end !== null && span.end > start && span.start < end)
    .map(({ timeline }) => segmentName({ ...segment, timeline }, segmentBytes));
}

/**
 * Recovery makes a tablespace again at the very place it had on the source. On the source's own machine that place is in use: depending on its version, the restored server would
 * clear it, or write into the files of the server that runs.
 */
async function refuseTablespacesInUse(made: readonly MadeTablespace[], { stored }: RestorePlan, context: OperationContext): Promise<void> {
  const { version, catalogVersion } = stored.manifest.postgres;
  for (const { location } of made.filter((tablespace) => tablespace.location.startsWith("/"))) {
    if (await exists(path.join(location, tablespaceFolder(majorOf(version), catalogVersion))))
      throw new HoldfastError("HF-TARGET-NOT-EMPTY", `replaying WAL makes a tablespace in ${location}, and a server of this machine uses that folder`, {
        hint: "restore on another machine, to a point before the tablespace was made, or from a backup taken after it",
        facts: { folder: location },
      });
    if (!(await exists(location))) context.onNotice(`replaying WAL makes a tablespace in ${location}: make that folder, empty, for the server's user before it starts`);
  }
}

/** Looks at WAL as it passes by. Its checksums were judged before, when it was opened. */
class WalScanner {
  readonly #segmentBytes: number;
  readonly #start: Lsn;
  #walker: WalWalker | null = null;
  highest: RecoveryDemands = NO_DEMANDS;
  readonly tablespaces: MadeTablespace[] = [];
  nextXid: bigint | null = null;

  constructor(segmentBytes: number, start: Lsn) {
    this.#segmentBytes = segmentBytes;
    this.#start = start;
  }

  push(name: string, bytes: Buffer): void {
    this.#walker ??= new WalWalker(segmentStart(must(parseSegmentName(name, this.#segmentBytes), "a segment"), this.#segmentBytes), {
      segmentBytes: this.#segmentBytes,
      checkCrc: false,
      visit: (record) => {
        const checkpoint = checkpointOf(record);
        if (checkpoint?.redo === this.#start) this.nextXid ??= checkpoint.nextXid;
        const tablespace = tablespaceMadeBy(record);
        if (tablespace !== null) this.tablespaces.push(tablespace);
        const found = demandsOf(record);
        if (found !== null) this.highest = higherDemands(this.highest, found);
      },
    });
    this.#walker.push(bytes);
  }
}

/** Writes a new file, durable, with the owner of the cluster. */
export async function writeOwned(file: string, content: Buffer | string, { owner, root }: Pick<RestoreFolder, "owner" | "root">): Promise<void> {
  try {
    const handle = await open(file, "w", 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (owner !== null) await chown(file, owner.uid, owner.gid);
  } catch (error) {
    throw targetError(error, root);
  }
}
