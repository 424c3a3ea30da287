import path from "node:path";
import type pg from "pg";
import { z } from "zod";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { Fallback } from "../../domain/fallback.ts";
import { blocksOf } from "../../domain/file-map.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import { DamageError, HoldfastError, must } from "../../errors.ts";
import type { ServerBinaries } from "../../postgres/binaries.ts";
import { clientAddress } from "../../postgres/client-address.ts";
import { connect, escapeIdentifier, queryRow, queryRows, text } from "../../postgres/connection.ts";
import { feedProgram } from "../../postgres/process.ts";
import { blockSizeOf } from "../../repository/manifest.ts";
import type { DumpManifest, StoredManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { ABOUT_DUMPS } from "../tree-names.ts";
import { checkedTree } from "./check-tree.ts";
import { chooseByTime } from "./choose-by-time.ts";
import { openChain } from "./open-chain.ts";
import { readAbout } from "./tree-about.ts";

const count = z.number().int().nonnegative();
const aboutDumpsSchema = z.object({
  version: count,
  systemIdentifier: z.string().nullable(),
  bootstrapRole: z.string(),
  rolePasswords: z.boolean(),
  databases: z.array(
    z.object({ name: z.string().min(1), file: z.string(), at: z.string(), tables: z.array(z.object({ schema: z.string(), name: z.string(), rows: count.nullable() })) }),
  ),
});
export type AboutDumps = z.infer<typeof aboutDumpsSchema>;

/** Which backup of dumps a restore takes, and where from. */
export interface DumpPlan {
  readonly view: CopyView;
  readonly stored: StoredManifest<DumpManifest>;
  readonly chain: ChainReader;
  readonly about: AboutDumps;
  /** Of dumps: what they become takes about as much again, with indexes. */
  readonly bytes: number;
}

/** The newest backup that was whole by the target; or the one that was named. */
export async function planDumpRestore(view: CopyView, { target, backup }: { readonly target: RestoreTarget; readonly backup: string | null }): Promise<DumpPlan> {
  const stored = chooseByTime(view, target, backup);
  if (stored.manifest.kind !== "postgres-logical") throw new HoldfastError("HF-USAGE", `${stored.manifest.id} is no backup of dumps`);
  const of = { ...stored, manifest: stored.manifest };
  const chain = await openChain({ view, stored });
  return { view, stored: of, chain, about: await readAbout(chain, of.manifest, ABOUT_DUMPS, aboutDumpsSchema), bytes: of.manifest.sizes.sourceBytes };
}

/** A server that dumps are loaded into. */
export interface LoadTarget {
  readonly url: string;
  readonly clients: ServerBinaries;
  /** Null: all. */
  readonly databases: readonly string[] | null;
  /** What earlier attempts came to, where one that was killed is to be gone on with. */
  readonly ledger?: LoadLedger;
}

/** How far loading into a server has come: told before a database is begun, and when it is whole. */
export interface LoadLedger {
  readonly loaded: readonly string[];
  /** What was being loaded when the last attempt ended; null: nothing. */
  readonly begun: string | null;
  begin(database: string): Promise<void>;
  end(database: string): Promise<void>;
}

export interface LoadedDumps {
  readonly backupId: string;
  readonly repository: string;
  readonly databases: readonly string[];
  /** What was said of roles that were there already. */
  readonly roleNotices: readonly string[];
  readonly from: string;
  readonly reachedTime: string;
  readonly bytes: number;
  readonly durationSeconds: number;
  readonly fallbacks: readonly Fallback[];
}

/** Roles, then one database after the other, each made by `pg_restore` from its dump. Nothing that is there already is written into: then all of it is refused, before anything is. */
export async function loadDumps(plan: DumpPlan, target: LoadTarget, context: OperationContext): Promise<LoadedDumps> {
  const elapsed = stopwatch(context.clock);
  const { manifest } = plan.stored;
  const { ledger } = target;
  const before = ledger === undefined ? [] : await whatIsThere(target.url, ledger, context);
  const chosen = chooseDatabases(plan.about, target.databases);
  const wanted = chosen.filter(({ name }) => !before.includes(name));
  await refuseOverwriting(target.url, wanted);
  const files = new Map<string, FileEntry>();
  for await (const entry of checkedTree(plan.chain, manifest)) if (entry.type === "file") files.set(entry.path, entry);
  const pieces = (file: string): AsyncGenerator<Buffer> => piecesOf(plan.chain, must(files.get(file), `${file} in the backup`), blockSizeOf(manifest));
  const roleNotices = await loadGlobals(target, pieces("globals.sql"), context);
  let bytes = 0;
  for (const { name, file } of wanted) {
    context.onProgress({ phase: `load ${name}`, doneBytes: bytes, totalBytes: plan.bytes });
    await ledger?.begin(name);
    crashPoint("restore.copying");
    await loadDatabase(target, name, pieces(file), context);
    crashPoint("restore.before-done");
    await ledger?.end(name);
    bytes += files.get(file)?.length ?? 0;
  }
  return {
    backupId: manifest.id,
    repository: plan.view.repository.name,
    databases: chosen.map(({ name }) => name),
    roleNotices,
    from: manifest.start.at,
    reachedTime: manifest.stop.at,
    bytes,
    durationSeconds: elapsed(),
    fallbacks: plan.view.fallbacks,
  };
}

function chooseDatabases({ databases }: AboutDumps, wanted: readonly string[] | null): AboutDumps["databases"] {
  const unknown = (wanted ?? []).filter((name) => !databases.some((database) => database.name === name));
  if (unknown.length > 0)
    throw new HoldfastError("HF-USAGE", `the backup has no database ${unknown.map((name) => JSON.stringify(name)).join(", ")}`, {
      hint: `it has ${databases.map(({ name }) => name).join(", ")}; nothing was touched`,
    });
  return databases.filter(({ name }) => wanted === null || wanted.includes(name));
}

/** Every server has it, so it is not made, but filled. */
const ALWAYS_THERE = "postgres";

export async function refuseOverwriting(url: string, wanted: AboutDumps["databases"]): Promise<void> {
  await using connection = await connect({ url }, { purpose: "restore", database: ALWAYS_THERE });
  const there = (await queryRows(connection.client, "select datname as name from pg_database")).map((row) => text(row, "name"));
  const taken = wanted.filter(({ name }) => name !== ALWAYS_THERE && there.includes(name)).map(({ name }) => name);
  if (wanted.some(({ name }) => name === ALWAYS_THERE) && (await countRelations(connection.client)) > 0) taken.push(ALWAYS_THERE);
  if (taken.length > 0)
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `the server has ${taken.map((name) => JSON.stringify(name)).join(", ")} already`, {
      hint: "name others with --database, or another server; nothing was touched",
      facts: { databases: taken },
    });
}

/**
 * What earlier attempts loaded. The database that the last one did not get to the end of is renamed, never dropped: whether it is all ours nobody can tell from outside. The one that every server
 * has is filled in one transaction, so it is there whole or not at all.
 */
async function whatIsThere(url: string, { loaded, begun }: LoadLedger, context: OperationContext): Promise<readonly string[]> {
  if (begun === null) return loaded;
  await using connection = await connect({ url }, { purpose: "restore", database: ALWAYS_THERE });
  const { client } = connection;
  if (begun === ALWAYS_THERE) return (await countRelations(client)) === 0 ? loaded : [...loaded, begun];
  const [there] = await queryRows(client, "select datname as name from pg_database where datname = $1", [begun]);
  if (there === undefined) return loaded;
  const aside = `${begun.slice(0, MOST_KEPT_OF_A_NAME)} unfinished ${context.clock.now().toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}`;
  await queryRows(client, `alter database ${escapeIdentifier(begun)} rename to ${escapeIdentifier(aside)}`);
  context.onNotice(`the database ${JSON.stringify(begun)} was half loaded when it was interrupted: it is ${JSON.stringify(aside)} now, and can be dropped`);
  return loaded;
}

/** Of 63 bytes, at worst four to a character, with what is added to it. */
const MOST_KEPT_OF_A_NAME = 8;

async function countRelations(client: pg.Client): Promise<number> {
  const sql =
    "select count(*)::text as relations from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'";
  return Number(text(await queryRow(client, sql), "relations"));
}

const THERE_ALREADY = /ERROR:\s+role ".*" already exists/;

async function loadGlobals({ clients, url }: LoadTarget, input: AsyncIterable<Buffer>, { signal }: OperationContext): Promise<string[]> {
  const { dbname, env } = clientAddress(url, ALWAYS_THERE);
  const { exitCode, stderr } = await feedProgram(path.join(clients.folder, "psql"), ["--no-psqlrc", "--quiet", "--no-password", "--file=-", `--dbname=${dbname}`], input, {
    env,
    signal,
    mayFail: true,
  });
  const complaints = stderr.split("\n").filter((line) => /\b(?:ERROR|FATAL|error):/.test(line));
  const serious = complaints.filter((line) => !THERE_ALREADY.test(line));
  if (exitCode !== 0 || serious.length > 0)
    throw new HoldfastError("HF-SERVER", `the roles could not be loaded: ${serious[0] ?? stderr.trim().slice(-200)}`, { hint: "it takes a superuser" });
  return complaints;
}

async function loadDatabase({ clients, url, ledger }: LoadTarget, name: string, input: AsyncIterable<Buffer>, { signal }: OperationContext): Promise<void> {
  const { dbname, env } = clientAddress(url, ALWAYS_THERE);
  const how = name !== ALWAYS_THERE ? ["--create"] : ledger === undefined ? [] : ["--single-transaction"];
  const args = ["--exit-on-error", "--no-tablespaces", "--no-password", ...how, `--dbname=${dbname}`];
  await feedProgram(path.join(clients.folder, "pg_restore"), args, input, { env, signal });
}

/** What `pg_restore` finds in a dump. Rejects with `DamageError` if it cannot read it. */
export async function listDump(clients: ServerBinaries, chain: ChainReader, entry: FileEntry, blockSize: number, object: string, signal: AbortSignal): Promise<void> {
  try {
    await feedProgram(path.join(clients.folder, "pg_restore"), ["--list"], piecesOf(chain, entry, blockSize), { signal });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "HF-SERVER") throw error;
    throw new DamageError(object, `pg_restore cannot read ${entry.path}: ${error.message}`);
  }
}

/** The content of a file, in order, one extent at a time. */
async function* piecesOf(chain: ChainReader, entry: FileEntry, blockSize: number): AsyncGenerator<Buffer> {
  const blocks = entry.runs.reduce((sum, run) => sum + run.blocks, 0);
  if (blocks !== blocksOf(entry.length, blockSize)) throw new DamageError(entry.path, `the map gives it ${blocks} blocks for ${entry.length} bytes`);
  let left = entry.length;
  for (const run of entry.runs) {
    const wanted = run.blocks * blockSize;
    const { at } = run;
    const piece =
      at === null
        ? Buffer.alloc(wanted)
        : await chain.usePack(at.backup, "data", at.pack, async (reader) => {
            const extent = await reader.read(at.frame);
            if ((at.block + run.blocks) * blockSize > extent.length) throw new DamageError(reader.container.objectKey, `extent ${at.frame} is shorter than the map says`);
            return Buffer.from(extent.subarray(at.block * blockSize, at.block * blockSize + wanted));
          });
    yield piece.subarray(0, Math.min(left, wanted));
    left -= Math.min(left, wanted);
  }
}
