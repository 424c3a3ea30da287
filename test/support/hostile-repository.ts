import { systemClock } from "../../src/clock.ts";
import type { MapEntry } from "../../src/domain/file-map.ts";
import { createBlockDigest } from "../../src/repository/block-digest.ts";
import { encodeDigests } from "../../src/repository/block-writer.ts";
import { appendAll, openContainerWriter } from "../../src/repository/container-writer.ts";
import type { ContainerWriter } from "../../src/repository/container-writer.ts";
import { writeContents } from "../../src/repository/contents.ts";
import { writeDocument } from "../../src/repository/document.ts";
import { keys } from "../../src/repository/layout.ts";
import { blockSizeOf, readChain } from "../../src/repository/manifest.ts";
import type { ClusterManifest, Manifest, StoredManifest } from "../../src/repository/manifest.ts";
import { encodeChunk, encodeRoot } from "../../src/repository/map-encoding.ts";
import type { ChunkRef } from "../../src/repository/map-encoding.ts";
import { ChainReader } from "../../src/repository/map-reader.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { readFile } from "../../src/operations/restore/restore-files.ts";
import { putIfAbsent } from "../../src/storage/object-store.ts";

/** What a forged backup is: the map of a true one, changed; files of its own; and anything else about it that its manifest may say. */
export interface Forgery {
  readonly id?: string;
  /** Gets the entries of the true backup in order, and those that were read late apart. */
  readonly map?: (entries: MapEntry[], late: MapEntry[]) => void;
  /** Further files, or other content for some, by path. They go where the true one has them, else (`//…` and those at the top) among the late ones. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly manifest?: (manifest: ClusterManifest) => object;
  /** Writes the container of the map instead of us. Returns where the root is. */
  readonly mapContainer?: (writer: ContainerWriter, chunks: { main: Buffer; late: Buffer }) => Promise<Manifest["root"]>;
  readonly dataContainer?: (writer: ContainerWriter) => Promise<void>;
}

export const FORGED_ID = "20991231T235959Z-incr";
const LEVEL = 3;

/** Writes a backup as somebody would who has the passphrase and whose host was admitted: everything is signed, sealed and named as it should be. Returns its id. */
export async function forgeBackup(repository: WritableRepository, base: StoredManifest<ClusterManifest>, forgery: Forgery): Promise<string> {
  const { id = FORGED_ID } = forgery;
  const { manifest } = base;
  const { source } = manifest;
  const { blockSize } = manifest.postgres;
  const now = systemClock.now();
  const dataKey = await repository.keyRing.sealNew();
  const [entries, late] = await entriesOf(repository, base);
  const contents = [];
  const blockDigest = await createBlockDigest(0n);
  const digests: bigint[][] = [];
  const files = Object.entries(forgery.files ?? {}).map(([path, content]) => ({ path, content: Buffer.from(content) }));
  if (files.length > 0 || forgery.dataContainer !== undefined) {
    const key = keys.pack(source, id, "data", 0);
    const writer = await openContainerWriter({ repository, source, kind: "data", objectKey: key, boundKey: key, key: dataKey, now });
    await forgery.dataContainer?.(writer);
    let frame = 0;
    for (const { path, content } of files) {
      const runs = [];
      for (let at = 0; at < content.length; at += 1 << 20) {
        const piece = content.subarray(at, at + (1 << 20));
        const blocks = Math.ceil(piece.length / blockSize);
        const extent = Buffer.concat([piece, Buffer.alloc(blocks * blockSize - piece.length)]);
        digests.push(Array.from({ length: blocks }, (_, i) => blockDigest(extent.subarray(i * blockSize, (i + 1) * blockSize))));
        await writer.append(await writer.seal(extent, frame, LEVEL));
        runs.push({ blocks, at: { backup: id, pack: 0, frame: frame++, block: 0 } });
      }
      const entry: MapEntry = { type: "file", path, length: content.length, runs };
      const list = [entries, late].find((all) => all.some((other) => other.path === path)) ?? late;
      const index = list.findIndex((other) => other.path === path);
      list.splice(index === -1 ? list.length : index, index === -1 ? 0 : 1, entry);
    }
    contents.push({ name: "data/00000000", ...(await writer.finish()) });
  }
  forgery.map?.(entries, late);
  const mapKey = keys.pack(source, id, "map", 0);
  const writer = await openContainerWriter({ repository, source, kind: "map", objectKey: mapKey, boundKey: mapKey, key: repository.mapKey, now });
  const chunks = { main: encodeChunk(entries), late: encodeChunk(late) };
  const root = await (forgery.mapContainer ?? writeMap(id, entries, late, digests))(writer, chunks);
  contents.push({ name: "map/00000000", ...(await writer.finish()) });
  const listed = await writeContents(repository, { source, backup: id }, contents);
  if (listed === "exists") throw new Error(`${id} was forged before`);
  const reference = { id: manifest.id, sha256: base.sha256 };
  const head = {
    ...manifest,
    id,
    type: "incremental",
    sequence: manifest.sequence + 1,
    previous: reference,
    parent: reference,
    ancestors: [reference],
    dataKey: { keyId: dataKey.keyId, sealed: dataKey.sealed },
    contents: listed,
    root,
    writer: repository.signer.fingerprint,
  };
  await writeDocument(repository, keys.manifest(source, id), "manifest", { ...head, ...forgery.manifest?.(head as ClusterManifest) }, repository.signer);
  return id;
}

async function entriesOf(repository: WritableRepository, base: StoredManifest<ClusterManifest>): Promise<[MapEntry[], MapEntry[]]> {
  const reader = new ChainReader(repository, await readChain(repository, base));
  const root = await reader.root(base.manifest.id);
  const read = async (refs: typeof root.chunks): Promise<MapEntry[]> => (await Promise.all(refs.map((ref) => reader.chunk(ref)))).flat();
  return [await read(root.chunks), await read(root.late)];
}

/** One chunk each for the entries in order and for the late ones, and the root. */
function writeMap(id: string, entries: readonly MapEntry[], late: readonly MapEntry[], digests: readonly bigint[][]): NonNullable<Forgery["mapContainer"]> {
  return async (writer, chunks) => {
    await writer.append(await writer.seal(chunks.main, 0, LEVEL));
    await writer.append(await writer.seal(chunks.late, 1, LEVEL));
    const ref = (list: readonly MapEntry[], frame: number): ChunkRef => ({ firstPath: list[0]?.path ?? "", backup: id, pack: 0, frame, entries: list.length });
    await writer.append(await writer.seal(encodeDigests(digests), 2, LEVEL));
    const own = digests.length === 0 ? [] : [{ dataPack: 0, pack: 0, frame: 2 }];
    const [root] = encodeRoot({ digestSeed: 0n, chunks: [ref(entries, 0)], late: [ref(late, 1)], digests: own }, 4 << 20);
    await writer.append(await writer.seal(root ?? Buffer.alloc(0), 3, LEVEL));
    return { pack: 0, frame: 3, frames: 1 };
  };
}

/** A container of one of the kinds that hold WAL, with whatever is to be in it. `meta` is what it says of itself besides. */
export async function forgeContainer(
  repository: WritableRepository,
  place: { source: string; kind: "wal" | "part" | "history" | "summary"; objectKey: string; boundKey: string },
  content: Buffer | ((writer: ContainerWriter) => Promise<void>),
  meta: object = {},
): Promise<void> {
  const key = place.kind === "summary" ? repository.mapKey : await repository.keyRing.sealNew();
  const writer = await openContainerWriter({ repository, ...place, key, now: systemClock.now() });
  if (typeof content === "function") await content(writer);
  else await appendAll(writer, content, LEVEL);
  await writer.finish(meta);
}

/** What somebody leaves who has no key at all: bytes under a name. */
export async function leave(repository: WritableRepository, key: string, bytes: string | Buffer = "what was this?"): Promise<void> {
  await repository.store.remove([key]);
  await putIfAbsent(repository.store, key, Buffer.from(bytes));
}

/** The settings of a backup, to be changed. */
export async function readSettings(repository: WritableRepository, stored: StoredManifest<ClusterManifest>): Promise<Record<string, unknown>> {
  const [, late] = await entriesOf(repository, stored);
  const entry = late.find(({ path }) => path === "//settings.json");
  if (entry?.type !== "file") throw new Error("the backup has no settings");
  const reader = new ChainReader(repository, await readChain(repository, stored));
  return JSON.parse((await readFile(reader, entry, blockSizeOf(stored.manifest))).toString("utf8")) as Record<string, unknown>;
}
