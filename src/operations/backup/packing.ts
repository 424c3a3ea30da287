import type { FileEntry } from "../../domain/file-map.ts";
import { fanOut } from "../../repository/backup-copies.ts";
import type { CopiesTogether } from "../../repository/backup-copies.ts";
import { createBlockDigest } from "../../repository/block-digest.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import { BlockWriter, EXTENT_BYTES, PACK_PLAIN_BYTES } from "../../repository/block-writer.ts";
import { FrameLane } from "../../repository/frame-lane.ts";
import type { Manifest } from "../../repository/manifest.ts";
import { MapWriter } from "../../repository/map-writer.ts";
import type { Parent } from "./choose-parent.ts";

/** Where what was read goes: blocks into packs, entries into the map, of all copies of one backup at once. */
export interface Packing {
  readonly writer: BlockWriter;
  readonly map: MapWriter;
  readonly digest: BlockDigest;
  /** After everything else: the entries that were made last. Resolves to where the map begins when all is handed to the copies. */
  finish(late: readonly FileEntry[]): Promise<Manifest["root"]>;
}

export interface PackingOptions {
  readonly together: CopiesTogether;
  readonly backup: string;
  readonly parent: Parent;
  readonly blockSize: number;
  readonly level: number;
  /** Used if this is a full: a chain keeps the seed of its full. */
  readonly newSeed: bigint;
}

const MAP_PACK_BYTES = 64 << 20;

export async function openPacking({ together, backup, parent, blockSize, level, newSeed }: PackingOptions): Promise<Packing> {
  const parentRoot = parent.stored === null ? null : await parent.backup.chain.root(parent.backup.id);
  const seed = parentRoot?.digestSeed ?? newSeed;
  const lanes = {
    data: new FrameLane(fanOut(together, "data"), { level, packPlainBytes: PACK_PLAIN_BYTES }),
    map: new FrameLane(fanOut(together, "map"), { level, packPlainBytes: MAP_PACK_BYTES }),
  };
  const writer = new BlockWriter(lanes, { backup, blockSize, extentBytes: parent.stored === null ? EXTENT_BYTES.full : EXTENT_BYTES.incremental });
  const map = new MapWriter(lanes.map, { backup, parentChunks: parentRoot?.chunks ?? [] });
  return {
    writer,
    map,
    digest: await createBlockDigest(seed),
    finish: async (late) => {
      writer.finish();
      await lanes.data.finish();
      await map.addLate(late);
      const root = await map.finish(seed, writer.digestFrames);
      await lanes.map.finish();
      return root;
    },
  };
}
