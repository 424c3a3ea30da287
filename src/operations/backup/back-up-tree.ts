import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { settledWithin, stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { nextBackupId } from "../../domain/backup-id.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { chooseTreeParent } from "../../domain/chain.ts";
import { codeOf, HoldfastError, messageOf } from "../../errors.ts";
import { Findings } from "../../files/findings.ts";
import { OpenFolder } from "../../files/open-folder.ts";
import { walkTree } from "../../files/tree-walk.ts";
import type { TreeOptions } from "../../files/tree-walk.ts";
import { CopiesTogether } from "../../repository/backup-copies.ts";
import type { BackupCopy } from "../../repository/backup-copies.ts";
import { ensureBound } from "../../repository/binding.ts";
import type { CommonManifest, StoredManifest, TreeManifest } from "../../repository/manifest.ts";
import type { OperationContext } from "../context.ts";
import type { Away } from "../installation.ts";
import type { BackUpResult, BackupOrder } from "./backup-types.ts";
import { findWholeParent } from "./choose-parent.ts";
import type { Parent } from "./choose-parent.ts";
import { commitBackup } from "./commit-backup.ts";
import type { MadeBackup } from "./commit-backup.ts";
import { ancestorsOf, inOrder, leftOut, openCopies } from "./copies.ts";
import { takeLeases } from "./copy-leases.ts";
import { copyTree } from "./copy-tree.ts";
import type { TreeTotals } from "./copy-tree.ts";
import { storeDocument } from "./late-files.ts";
import { mergeWithParent } from "./merge-parent.ts";
import { openPacking } from "./packing.ts";
import { declareEverywhere, preparePlaces } from "./prepare-places.ts";
import type { LeasedPlace } from "./prepare-places.ts";
import { readTree } from "./read-tree.ts";
import { ABOUT_TREE, INCOMPLETE_MARKER } from "../tree-names.ts";

export interface BackUpTreeRequest extends BackupOrder {
  /** Absolute. */
  readonly path: string;
  readonly options: Omit<TreeOptions, "notAtRoot">;
}

/** Of a file system: smaller, and digests would take more room than they are worth; larger, and small files would. */
export const TREE_BLOCK_BYTES = 4096;

/** What a store that does not answer may keep us waiting for at the end. */
const CLOSE_WITHIN_MS = 5000;

/** Takes one backup of a tree of files, read once and written to every copy, in the order of steps that a cluster's has: lease, parent, intent, data, contents, manifest. */
export async function backUpTree(request: BackUpTreeRequest, context: OperationContext): Promise<BackUpResult> {
  const elapsed = stopwatch(context.clock);
  // First of all: without the tree nothing is touched.
  const root = await openRoot(request.path);
  try {
    await using leases = await takeLeases(request, context);
    const away: Away[] = [...leases.away];
    const source = request.source.name;
    const prepared = await preparePlaces(leases, away, request, (repository) => ensureBound(repository, source, { kind: "files" }, context.clock.now()), context);
    const parent = await findWholeParent(prepared, (backups) => chooseTreeParent(request.type, backups.flatMap(candidateOf), TREE_BLOCK_BYTES), context);
    const type = parent.stored === null ? "full" : request.type;
    if (parent.stored === null && request.type !== "full") context.onNotice(`making a full backup instead: ${parent.reason}`);
    const id = nextBackupId(
      context.clock.now(),
      type,
      prepared.flatMap((place) => place.listing.ids),
    );
    const intent = { backup: id, ancestors: ancestorsOf(parent), startedAt: context.clock.now().toISOString(), runId: request.runId };
    const places = await declareEverywhere(prepared, away, source, intent, context);
    crashPoint("backup.started");
    for (const { name, error } of away) context.onNotice(`not writing to ${name}: ${error.message}`);
    const copies = await openCopies(places, source, id, context);
    try {
      const packed = await packTree({ request, root, id, type, parent, together: new CopiesTogether(copies, context.clock) }, context);
      const outcomes = await Promise.all(copies.map(async (copy, i) => finishCopy(copy, places[i] as LeasedPlace, packed, context)));
      return { id, type, requestedType: request.type, copies: inOrder(request, [...outcomes, ...away.map(leftOut)]), durationSeconds: elapsed() };
    } finally {
      await settledWithin(
        context.clock,
        CLOSE_WITHIN_MS,
        copies.map((copy) => copy.abort()),
      );
    }
  } finally {
    await root.closeAll();
  }
}

async function openRoot(path: string): Promise<OpenFolder> {
  try {
    return await OpenFolder.root(path);
  } catch (cause) {
    throw new HoldfastError("HF-SERVER", `the tree ${path} cannot be opened: ${codeOf(cause) ?? messageOf(cause)}`, {
      hint: "check that it is there and mounted, and that the user that runs Holdfast may read it",
      cause,
    });
  }
}

function candidateOf({ manifest }: StoredManifest): { id: string; type: BackupType; blockSize: number }[] {
  return manifest.kind === "files" ? [{ id: manifest.id, type: manifest.type, blockSize: manifest.tree.blockSize }] : [];
}

interface TreeUnderWay {
  readonly request: BackUpTreeRequest;
  readonly root: OpenFolder;
  readonly id: string;
  readonly type: BackupType;
  readonly parent: Parent;
  readonly together: CopiesTogether;
}

interface PackedTree {
  readonly made: MadeBackup;
  readonly own: Omit<TreeManifest, keyof CommonManifest>;
}

async function packTree({ request, root, id, type, parent, together }: TreeUnderWay, context: OperationContext): Promise<PackedTree> {
  const startedAt = context.clock.now();
  const elapsedSeconds = stopwatch(context.clock);
  const findings = new Findings();
  const packing = await openPacking({ together, backup: id, parent, blockSize: TREE_BLOCK_BYTES, level: request.compressionLevel, newSeed: randomBytes(8).readBigUInt64LE() });
  const { writer, map, digest } = packing;
  const totals: TreeTotals = { sourceBytes: 0, readBytes: 0, files: 0, filesRead: 0, entries: 0 };
  const before = parent.stored === null ? null : parent.backup;
  // What a restore that did not end left at the root says that this is no tree to be trusted.
  const walk = walkTree(root, { ...request.options, notAtRoot: [INCOMPLETE_MARKER] }, findings, context.signal);
  const nodes = readTree(mergeWithParent(walk, before), { findings, parentBeganMs: parent.stored === null ? null : new Date(parent.stored.manifest.start.at).getTime() });
  await copyTree({ blockSize: TREE_BLOCK_BYTES, parent: before, writer, map, digest, findings }, nodes, totals, context);
  crashPoint("backup.copied");
  const stoppedAt = context.clock.now();
  const { counts } = findings;
  const about = {
    root: request.path,
    host: hostname(),
    attributes: (await root.facts()).attributes,
    exclude: request.options.exclude,
    oneFileSystem: request.options.oneFileSystem,
    counts,
    findings: findings.named,
  };
  const late = [await storeDocument(ABOUT_TREE, JSON.stringify(about), writer, { shape: { blockSize: TREE_BLOCK_BYTES }, digest })];
  const mapRoot = await packing.finish(late);
  for (const { kind, path, detail } of findings.named.slice(0, MOST_NOTICES)) context.onNotice(`${kind}: ${path} ${detail}`);
  const isWhole = counts.unread === 0;
  return {
    made: {
      source: request.source.name,
      id,
      type,
      parent,
      changeSource: parent.stored === null ? "everything" : "file-times",
      changeSourceReason:
        parent.stored === null
          ? parent.reason
          : `${totals.filesRead} of ${totals.files} files were read: the others have the inode, size and times that they had in ${parent.stored.manifest.id}`,
      state: isWhole ? "complete" : "complete_with_corruption",
      corruptPages: 0,
      sizes: { sourceBytes: totals.sourceBytes, readBytes: totals.readBytes, files: totals.files, extents: writer.extents, changedBlocks: writer.blocks },
      root: mapRoot,
      ancestors: map.ancestors,
      startedAt,
      elapsedSeconds,
      reader: "local",
    },
    own: {
      kind: "files",
      start: { at: startedAt.toISOString() },
      stop: { at: stoppedAt.toISOString() },
      tree: { blockSize: TREE_BLOCK_BYTES, entries: totals.entries, skipped: counts.skipped, changed: counts.changed + counts.grew, unread: counts.unread },
    },
  };
}

/** The rest is in the backup, and can be read there. */
const MOST_NOTICES = 20;

async function finishCopy(copy: BackupCopy, { lease }: LeasedPlace, { made, own }: PackedTree, context: OperationContext): ReturnType<typeof commitBackup> {
  try {
    await copy.drained();
  } catch (error) {
    context.signal.throwIfAborted();
    copy.fail(error);
  }
  return commitBackup(copy, lease, made, own, context);
}
