import { pMapIterable } from "p-map";
import { sameEntry } from "../../domain/file-map.ts";
import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import type { BlockWriter } from "../../repository/block-writer.ts";
import type { MapWriter } from "../../repository/map-writer.ts";
import { ParentFile } from "../../repository/parent-file.ts";
import { crashPoint } from "../../crash-points.ts";
import type { ByteRange } from "../../postgres/cluster-reader.ts";
import type { ChangedBlocks } from "../../postgres/server-summaries.ts";
import type { OperationContext } from "../context.ts";
import { batches, planRanges } from "./copy-plan.ts";
import type { Batch, ClusterShape, FileJob } from "./copy-plan.ts";
import { FileAssembly } from "./file-assembly.ts";
import { findSuspectPages } from "./page-check.ts";
import type { PageSource, SuspectPage } from "./page-check.ts";
import { mergeWithParent } from "./merge-parent.ts";
import type { Merged, ParentBackup } from "./merge-parent.ts";
import type { Found } from "./walk-cluster.ts";

export interface CopyTask {
  readonly source: PageSource;
  readonly shape: ClusterShape;
  readonly parent: ParentBackup | null;
  readonly changes: ChangedBlocks | null;
  readonly writer: BlockWriter;
  readonly map: MapWriter;
  readonly digest: BlockDigest;
}

export interface CopyTotals {
  sourceBytes: number;
  readBytes: number;
  files: number;
  readonly suspects: SuspectPage[];
}

/** Batches read at once. Each is up to 4 MiB; the next ones are read while one is being packed. */
const READS_AT_ONCE = 4;

/** Copies everything the walk finds, in order of path, into packs and map. Files that must be read last are left out (`isLate`). */
export async function copyCluster(task: CopyTask, walk: AsyncIterable<Found>, isLate: (path: string) => boolean, totals: CopyTotals, context: OperationContext): Promise<void> {
  const merged = mergeWithParent(leaveOut(walk, isLate), task.parent);
  const plan = pairWithJobs(merged, task);
  for await (const step of plan) {
    if (step.kind === "drop") await task.map.drop(step.path);
    else if (step.kind === "entry") await task.map.add(step.entry, step.unchanged);
    else await copyFiles(task, step.jobs, totals, context);
  }
}

type Step = { kind: "drop"; path: string } | { kind: "entry"; entry: MapEntry; unchanged: boolean } | { kind: "files"; jobs: AsyncIterable<FileJob> };

async function* leaveOut(walk: AsyncIterable<Found>, isLate: (path: string) => boolean): AsyncGenerator<Found> {
  for await (const found of walk) if (found.type !== "file" || !isLate(found.path)) yield found;
}

/** Groups consecutive files into one stream of jobs, so that their reading overlaps; folders and drops come between. */
async function* pairWithJobs(pairs: AsyncGenerator<Merged<Found>>, task: CopyTask): AsyncGenerator<Step> {
  let pair = await pairs.next();
  while (pair.done !== true) {
    const { value } = pair;
    if ("dropped" in value) yield { kind: "drop", path: value.dropped };
    else if (value.found.type !== "file") {
      const entry = entryOf(value.found);
      yield { kind: "entry", entry, unchanged: value.parent !== null && sameEntry(entry, value.parent) };
    } else {
      const jobs = async function* (): AsyncGenerator<FileJob> {
        for (; pair.done !== true && !("dropped" in pair.value) && pair.value.found.type === "file"; pair = await pairs.next()) {
          const parent = pair.value.parent?.type === "file" ? pair.value.parent : null;
          const { path, size } = pair.value.found;
          yield { path, length: size, parent, ranges: planRanges(path, size, parent, task.changes, task.shape) };
        }
      };
      yield { kind: "files", jobs: jobs() };
      continue;
    }
    pair = await pairs.next();
  }
}

function entryOf(found: Exclude<Found, { type: "file" }>): MapEntry {
  return found.type === "directory" ? { type: "directory", path: found.path } : { type: "tablespace", path: found.path, target: found.target };
}

/** Reads several batches at once, and puts files together strictly in order. */
async function copyFiles(task: CopyTask, jobs: AsyncIterable<FileJob>, totals: CopyTotals, context: OperationContext): Promise<void> {
  await assemble(
    task,
    jobs,
    totals,
    context,
    async (entry, parent) => {
      if (entry === null) return;
      await task.map.add(entry, parent !== null && sameEntry(entry, parent));
    },
    (path) => task.map.drop(path),
  );
}

/** Copies a few files after all others and returns their entries. */
export async function copyLate(task: CopyTask, files: readonly { path: string; size: number }[], totals: CopyTotals, context: OperationContext): Promise<FileEntry[]> {
  const entries: FileEntry[] = [];
  const jobs = async function* (): AsyncGenerator<FileJob> {
    for (const { path, size } of files) {
      const whole = Math.ceil(size / task.shape.blockSize);
      yield { path, length: size, parent: null, ranges: whole === 0 ? [] : [{ from: 0, to: whole }] };
    }
  };
  await assemble(
    task,
    jobs(),
    totals,
    context,
    async (entry) => void (entry !== null && entries.push(entry)),
    async () => undefined,
  );
  return entries;
}

async function assemble(
  task: CopyTask,
  jobs: AsyncIterable<FileJob>,
  totals: CopyTotals,
  context: OperationContext,
  onEntry: (entry: FileEntry | null, parent: FileEntry | null) => Promise<void>,
  onVanished: (path: string) => Promise<void>,
): Promise<void> {
  const { source, shape, writer, digest } = task;
  const read = async (batch: Batch): Promise<{ batch: Batch; results: (Buffer | null)[] }> => {
    const ranges = batch.filter(({ range }) => range.to > range.from).map(({ job, range }) => toBytes(job.path, range, shape.blockSize));
    return { batch, results: await source.reader.read(ranges, source.signal) };
  };
  let file: FileAssembly | null = null;
  /** Of the file that is being read: a table may be a gigabyte. */
  let partBytes = 0;
  for await (const { batch, results } of pMapIterable(batches(jobs, shape.blockSize), read, { concurrency: READS_AT_ONCE, backpressure: READS_AT_ONCE + 1 })) {
    crashPoint("backup.copying");
    source.signal.throwIfAborted();
    let at = 0;
    for (const { job, range, last } of batch) {
      if (file?.job !== job) file = new FileAssembly(job, job.parent === null || task.parent === null ? null : new ParentFile(job.parent, task.parent.chain), shape.blockSize);
      if (range.to > range.from) {
        const bytes = results[at++] ?? null;
        if (bytes === null) file.vanish();
        else {
          totals.readBytes += bytes.length;
          totals.suspects.push(...(await findSuspectPages(source, { path: job.path, from: range.from, bytes }, shape)));
          await file.add(range.from, range.to - range.from, bytes, { writer, digest });
        }
      }
      partBytes = last ? 0 : range.to * shape.blockSize;
      if (!last) continue;
      const entry: FileEntry | null = file.finish();
      if (entry === null) {
        if (job.parent !== null) await onVanished(job.path);
        continue;
      }
      totals.files++;
      totals.sourceBytes += entry.length;
      await onEntry(entry, job.parent);
    }
    for (const bytes of results) if (bytes !== null) source.reader.reuse(bytes);
    context.onProgress({ phase: "copy", doneBytes: totals.sourceBytes + partBytes, totalBytes: null });
  }
}

function toBytes(path: string, range: { from: number; to: number }, blockSize: number): ByteRange {
  return { path, offset: range.from * blockSize, length: (range.to - range.from) * blockSize };
}
