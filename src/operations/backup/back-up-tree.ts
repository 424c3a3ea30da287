import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { chooseTreeParent } from "../../domain/chain.ts";
import { codeOf, HoldfastError, messageOf } from "../../errors.ts";
import { Findings } from "../../files/findings.ts";
import { OpenFolder } from "../../files/open-folder.ts";
import { walkTree } from "../../files/tree-walk.ts";
import type { TreeOptions } from "../../files/tree-walk.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { OperationContext } from "../context.ts";
import type { BackUpResult, BackupOrder } from "./backup-types.ts";
import { copyTree } from "./copy-tree.ts";
import type { TreeTotals } from "./copy-tree.ts";
import { storeDocument } from "./late-files.ts";
import { mergeWithParent } from "./merge-parent.ts";
import { openPacking } from "./packing.ts";
import { readTree } from "./read-tree.ts";
import { backUpWithoutLog } from "./without-log.ts";
import type { Packed, Underway } from "./without-log.ts";
import { ABOUT_TREE, INCOMPLETE_MARKER } from "../tree-names.ts";

export interface BackUpTreeRequest extends BackupOrder {
  /** Absolute. */
  readonly path: string;
  readonly options: Omit<TreeOptions, "notAtRoot">;
}

/** Of a file system: smaller, and digests would take more room than they are worth; larger, and small files would. */
const TREE_BLOCK_BYTES = 4096;

/** Takes one backup of a tree of files. */
export async function backUpTree(request: BackUpTreeRequest, context: OperationContext): Promise<BackUpResult> {
  // First of all: without the tree nothing is touched.
  const root = await openRoot(request.path);
  try {
    return await backUpWithoutLog(
      request,
      {
        bindTo: { kind: "files" },
        chooseParent: (backups) => chooseTreeParent(request.type, backups.flatMap(candidateOf), TREE_BLOCK_BYTES),
        pack: async (underway, inner) => packTree(request, root, underway, inner),
      },
      context,
    );
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

async function packTree(request: BackUpTreeRequest, root: OpenFolder, { id, type, parent, together }: Underway, context: OperationContext): Promise<Packed> {
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
