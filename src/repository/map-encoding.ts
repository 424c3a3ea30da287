import { z } from "zod";
import { isSafePath } from "../domain/file-map.ts";
import type { BlockRun, MapEntry } from "../domain/file-map.ts";
import { DamageError } from "../errors.ts";

/** Map chunks and roots as JSON Lines (docs/repository-format.md section 6). Pure text; frames and packs are elsewhere. */
export interface ChunkRef {
  readonly firstPath: string;
  readonly backup: string;
  readonly pack: number;
  readonly frame: number;
  readonly entries: number;
}

export interface DigestsRef {
  readonly dataPack: number;
  readonly pack: number;
  readonly frame: number;
}

export interface MapRoot {
  readonly digestSeed: bigint;
  readonly chunks: readonly ChunkRef[];
  /** Chunks of files that were read after all others (pg_control, the backup label): out of order, never taken over from a parent. */
  readonly late: readonly ChunkRef[];
  readonly digests: readonly DigestsRef[];
}

/** A file with more runs than this is continued in a further entry, so that a line, and a chunk, stays within a frame. */
const MAX_RUNS_PER_LINE = 16_384;

/** Numbers backups in the order they are met. */
class BackupTable {
  readonly ids: string[] = [];
  readonly #numbers = new Map<string, number>();
  numberOf(id: string): number {
    let number = this.#numbers.get(id);
    if (number === undefined) {
      this.#numbers.set(id, (number = this.ids.length));
      this.ids.push(id);
    }
    return number;
  }
}

export function encodeChunk(entries: readonly MapEntry[]): Buffer {
  const table = new BackupTable();
  const lines = entries.flatMap((entry) => encodeEntry(entry, table));
  return Buffer.from(`${JSON.stringify({ backups: table.ids })}\n${lines.join("\n")}\n`);
}

/** Of an entry of a file tree, with all the digits there are. */
const ATTRIBUTE_BYTES = 180;

/** A generous estimate of the bytes an entry takes in a chunk, to decide where to cut. */
export function estimateEntryBytes(entry: MapEntry): number {
  const target = entry.type === "symlink" ? entry.target.length : entry.type === "link" ? entry.to.length : 0;
  return entry.path.length + 50 + target + ("attributes" in entry ? ATTRIBUTE_BYTES : 0) + (entry.type === "file" ? entry.runs.length * 16 : 0);
}

function encodeEntry(entry: MapEntry, table: BackupTable): string[] {
  if (entry.type !== "file") return [JSON.stringify(entry)];
  const { path, type, length, attributes } = entry;
  const kept = attributes === undefined ? {} : { attributes };
  const lines: string[] = [];
  let from = 0;
  for (let at = 0; at === 0 || at < entry.runs.length; at += MAX_RUNS_PER_LINE) {
    const slice = entry.runs.slice(at, at + MAX_RUNS_PER_LINE);
    const runs = slice.map((run) => (run.at === null ? [run.blocks] : [run.blocks, table.numberOf(run.at.backup), run.at.pack, run.at.frame, run.at.block]));
    lines.push(JSON.stringify(at === 0 ? { path, type, length, ...kept, runs } : { path, type, length, from, runs }));
    from += slice.reduce((sum, run) => sum + run.blocks, 0);
  }
  return lines;
}

const count = z.number().int().nonnegative();
const headerSchema = z.object({ backups: z.array(z.string()) });
/** Linux knows none longer than 4095 bytes; each may be written as three characters. */
const MOST_TARGET = 3 * 4096;
const attributesSchema = z.object({
  mode: z.number().int().min(0).max(0o7777),
  uid: z.number().int().min(0).max(0xffffffff),
  gid: z.number().int().min(0).max(0xffffffff),
  modified: z.string().regex(/^-?\d{1,20}$/),
  seen: z.string().max(100).nullable(),
});
const entrySchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("file"), path: z.string(), length: count, from: count.optional(), attributes: attributesSchema.optional(), runs: z.array(z.unknown()) }),
  z.object({ type: z.literal("directory"), path: z.string(), attributes: attributesSchema.optional() }),
  z.object({ type: z.literal("symlink"), path: z.string(), target: z.string().min(1).max(MOST_TARGET), attributes: attributesSchema }),
  z.object({ type: z.literal("link"), path: z.string(), to: z.string() }),
  z.object({ type: z.literal("tablespace"), path: z.string(), target: z.string() }),
]);

export function decodeChunk(bytes: Buffer, object: string): MapEntry[] {
  const [header, ...lines] = bytes.toString("utf8").split("\n");
  const { backups } = parseLine(headerSchema, header ?? "", object);
  const entries: MapEntry[] = [];
  // Of the last file, which may be continued: gone through once, however often it is.
  let open: { runs: BlockRun[]; blocks: number } | null = null;
  for (const line of lines) {
    if (line === "") continue;
    const wire = parseLine(entrySchema, line, object);
    if (!isSafePath(wire.path)) throw new DamageError(object, `the map names an unsafe path ${JSON.stringify(wire.path)}`);
    if (wire.type === "link" && !isSafePath(wire.to)) throw new DamageError(object, `the map names an unsafe path ${JSON.stringify(wire.to)}`);
    if (wire.type !== "file") {
      entries.push(withoutUndefined(wire));
      open = null;
      continue;
    }
    const runs = wire.runs.map((run) => decodeRun(run, backups, object));
    const last = entries.at(-1);
    if (wire.from === undefined) {
      open = { runs: [], blocks: 0 };
      entries.push({ type: "file", path: wire.path, length: wire.length, ...(wire.attributes === undefined ? {} : { attributes: wire.attributes }), runs: open.runs });
    } else if (open === null || last?.path !== wire.path || open.blocks !== wire.from || runs.length === 0)
      throw new DamageError(object, `${wire.path} is continued but not begun`);
    for (const run of runs) {
      open.runs.push(run);
      open.blocks += run.blocks;
    }
  }
  return entries;
}

function withoutUndefined(wire: Exclude<z.infer<typeof entrySchema>, { type: "file" }>): MapEntry {
  if (wire.type !== "directory") return wire;
  return { type: "directory", path: wire.path, ...(wire.attributes === undefined ? {} : { attributes: wire.attributes }) };
}

/** Checked by hand: there are tens of millions of these. */
function decodeRun(run: unknown, backups: readonly string[], object: string): BlockRun {
  if (!Array.isArray(run) || (run.length !== 1 && run.length !== 5) || !run.every(isCount)) throw new DamageError(object, "a run of the map is malformed");
  const [blocks, number, pack, frame, block] = run as [number, number?, number?, number?, number?];
  if (number === undefined || pack === undefined || frame === undefined || block === undefined) return { blocks, at: null };
  const backup = backups[number];
  if (backup === undefined) throw new DamageError(object, "a run names a backup that the chunk does not list");
  return { blocks, at: { backup, pack, frame, block } };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The root as frames' worth of text: cut at lines, so that each piece stays within a frame. */
export function encodeRoot(root: MapRoot, maxBytes: number): Buffer[] {
  const table = new BackupTable();
  const wire = (chunk: ChunkRef): unknown[] => [chunk.firstPath, table.numberOf(chunk.backup), chunk.pack, chunk.frame, chunk.entries];
  const lines = root.chunks.map((chunk) => JSON.stringify({ chunk: wire(chunk) }));
  for (const chunk of root.late) lines.push(JSON.stringify({ late: wire(chunk) }));
  for (const { dataPack, pack, frame } of root.digests) lines.push(JSON.stringify({ digests: [dataPack, pack, frame] }));
  const header = JSON.stringify({ backups: table.ids, digestSeed: root.digestSeed.toString(16).padStart(16, "0") });
  const pieces: string[] = [];
  let piece = `${header}\n`;
  for (const line of lines) {
    if (piece.length + line.length * 3 > maxBytes) {
      pieces.push(piece);
      piece = "";
    }
    piece += `${line}\n`;
  }
  return [...pieces, piece].map((text) => Buffer.from(text));
}

const rootHeaderSchema = headerSchema.extend({ digestSeed: z.string().regex(/^[0-9a-f]{16}$/) });
const chunkSchema = z.tuple([z.string(), count, count, count, count]);
const rootLineSchema = z.union([z.object({ chunk: chunkSchema }), z.object({ late: chunkSchema }), z.object({ digests: z.tuple([count, count, count]) })]);

export function decodeRoot(bytes: Buffer, object: string): MapRoot {
  const [header, ...lines] = bytes.toString("utf8").split("\n");
  const { backups, digestSeed } = parseLine(rootHeaderSchema, header ?? "", object);
  const chunks: ChunkRef[] = [];
  const late: ChunkRef[] = [];
  const digests: DigestsRef[] = [];
  for (const line of lines) {
    if (line === "") continue;
    const wire = parseLine(rootLineSchema, line, object);
    if ("digests" in wire) {
      const [dataPack, pack, frame] = wire.digests;
      digests.push({ dataPack, pack, frame });
      continue;
    }
    const [firstPath, number, pack, frame, entries] = "chunk" in wire ? wire.chunk : wire.late;
    const backup = backups[number];
    if (backup === undefined) throw new DamageError(object, "the root names a backup that it does not list");
    ("chunk" in wire ? chunks : late).push({ firstPath, backup, pack, frame, entries });
  }
  return { digestSeed: BigInt(`0x${digestSeed}`), chunks, late, digests };
}

/** Where the digests of each data pack lie: found at once, however many packs a backup has. Of two places that a root gives one pack, the first counts. */
export function digestsByPack({ digests }: Pick<MapRoot, "digests">): ReadonlyMap<number, DigestsRef> {
  const byPack = new Map<number, DigestsRef>();
  for (const ref of digests) if (!byPack.has(ref.dataPack)) byPack.set(ref.dataPack, ref);
  return byPack;
}

function parseLine<T extends z.ZodType>(schema: T, line: string, object: string): z.infer<T> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new DamageError(object, "a line of the map is not JSON", "damaged", cause);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new DamageError(object, `unexpected content in the map: ${parsed.error.issues[0]?.message}`);
  return parsed.data;
}
