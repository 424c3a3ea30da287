import { randomBytes } from "node:crypto";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { RunBuilder } from "../../domain/file-map.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import { HoldfastError } from "../../errors.ts";
import { requireClients } from "../../postgres/binaries.ts";
import type { ServerBinaries } from "../../postgres/binaries.ts";
import { connect, queryRow, text } from "../../postgres/connection.ts";
import { countRows, dumpDatabase, dumpGlobals, readDumpedServer } from "../../postgres/dump.ts";
import type { DumpedServer, TableRows } from "../../postgres/dump.ts";
import { isAllZero } from "../../domain/page.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { ABOUT_DUMPS } from "../tree-names.ts";
import type { BackUpResult, BackupOrder } from "./backup-types.ts";
import { storeDocument } from "./late-files.ts";
import { openPacking } from "./packing.ts";
import type { Packing } from "./packing.ts";
import { backUpWithoutLog } from "./without-log.ts";
import type { Packed, Underway } from "./without-log.ts";

export interface BackUpDumpsRequest extends BackupOrder {
  readonly url: string;
  /** Null: all that can be connected to. */
  readonly databases: readonly string[] | null;
  /** Where PostgreSQL's programs are. */
  readonly binaries: readonly string[];
}

const DUMP_BLOCK_BYTES = 8192;

/** Takes one backup of databases as `pg_dump` writes them: each of one moment of its own, with the roles of the server beside them. Always whole: nobody can tell what of a dump changed. */
export async function backUpDumps(request: BackUpDumpsRequest, context: OperationContext): Promise<BackUpResult> {
  const server = await lookAtServer(request.url);
  const databases = chooseDatabases(server, request.databases);
  const clients = await requireClients(request.binaries, majorOf(server.version));
  return backUpWithoutLog(
    request,
    {
      bindTo: { kind: "postgres-logical", systemIdentifier: server.systemIdentifier, version: server.version },
      chooseParent: () => ({ parent: null, reason: "each backup of dumps is a whole one" }),
      pack: async (underway, inner) => packDumps({ request, server, databases, clients }, underway, inner),
    },
    context,
  );
}

export async function lookAtServer(url: string): Promise<DumpedServer> {
  await using connection = await connect({ url }, { purpose: "backup" });
  return await readDumpedServer(connection.client);
}

function chooseDatabases(server: DumpedServer, wanted: readonly string[] | null): readonly string[] {
  const missing = (wanted ?? []).filter((name) => !server.databases.includes(name));
  if (missing.length > 0)
    throw new HoldfastError("HF-CONFIG", `the server has no database ${missing.map((name) => JSON.stringify(name)).join(", ")}`, { hint: `it has ${server.databases.join(", ")}` });
  return wanted ?? server.databases;
}

interface Dumping {
  readonly request: BackUpDumpsRequest;
  readonly server: DumpedServer;
  readonly databases: readonly string[];
  readonly clients: ServerBinaries;
}

interface DumpedDatabase {
  readonly name: string;
  readonly file: string;
  /** The moment of its snapshot, by the server's clock. */
  readonly at: string;
  readonly tables: readonly TableRows[];
}

async function packDumps({ request, server, databases, clients }: Dumping, { id, type, parent, together }: Underway, context: OperationContext): Promise<Packed> {
  const startedAt = context.clock.now();
  const elapsedSeconds = stopwatch(context.clock);
  const packing = await openPacking({ together, backup: id, parent, blockSize: DUMP_BLOCK_BYTES, level: request.compressionLevel, newSeed: randomBytes(8).readBigUInt64LE() });
  const totals = { bytes: 0, files: 0 };
  const store = async (path: string, pieces: AsyncIterable<Buffer>): Promise<void> => {
    const entry = await storePieces(path, pieces, packing, (bytes) => {
      context.signal.throwIfAborted();
      crashPoint("backup.copying");
      context.onProgress({ phase: "dump", doneBytes: totals.bytes + bytes, totalBytes: null });
    });
    totals.bytes += entry.length;
    totals.files++;
    await packing.map.add(entry, false);
  };
  await packing.map.add({ type: "directory", path: "databases" }, false);
  const dumped: DumpedDatabase[] = [];
  for (const [i, name] of databases.entries()) dumped.push(await dumpOne({ request, clients, name, file: `databases/${String(i + 1).padStart(6, "0")}.dump` }, store, context));
  if (!server.isSuperuser) context.onNotice("the role is no superuser: roles are backed up without their passwords, which have to be set anew after a restore");
  await store("globals.sql", dumpGlobals({ clients, url: request.url, signal: context.signal }, { withPasswords: server.isSuperuser }));
  crashPoint("backup.copied");
  const stoppedAt = context.clock.now();
  const { version, systemIdentifier, bootstrapRole } = server;
  const about = { version, systemIdentifier, bootstrapRole, rolePasswords: server.isSuperuser, databases: dumped };
  const root = await packing.finish([await storeDocument(ABOUT_DUMPS, JSON.stringify(about), packing.writer, { shape: { blockSize: DUMP_BLOCK_BYTES }, digest: packing.digest })]);
  return {
    made: {
      source: request.source.name,
      id,
      type,
      parent,
      changeSource: "everything",
      changeSourceReason: `${dumped.length} databases by pg_dump ${Math.floor(clients.version / 10_000)}`,
      state: "complete",
      corruptPages: 0,
      sizes: { sourceBytes: totals.bytes, readBytes: totals.bytes, files: totals.files, extents: packing.writer.extents, changedBlocks: packing.writer.blocks },
      root,
      ancestors: packing.map.ancestors,
      startedAt,
      elapsedSeconds,
      reader: "remote",
    },
    own: {
      kind: "postgres-logical",
      start: { at: startedAt.toISOString() },
      stop: { at: stoppedAt.toISOString() },
      dump: { blockSize: DUMP_BLOCK_BYTES, systemIdentifier, version, databases: dumped.length, rolePasswords: server.isSuperuser },
    },
  };
}

/** A dump, and how many rows there were, of one and the same snapshot: a session holds it open until both are done. */
async function dumpOne(
  { request, clients, name, file }: { request: BackUpDumpsRequest; clients: ServerBinaries; name: string; file: string },
  store: (path: string, pieces: AsyncIterable<Buffer>) => Promise<void>,
  context: OperationContext,
): Promise<DumpedDatabase> {
  await using connection = await connect({ url: request.url }, { purpose: "backup", database: name });
  const { client } = connection;
  await client.query("begin isolation level repeatable read read only");
  await client.query("set local idle_in_transaction_session_timeout = 0");
  const row = await queryRow(client, "select pg_export_snapshot() as snapshot, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as at");
  const signal = AbortSignal.any([context.signal, connection.lost]);
  await store(file, dumpDatabase({ clients, url: request.url, signal }, name, text(row, "snapshot")));
  signal.throwIfAborted();
  const tables = await countRows(client, () => context.clock.monotonicMs());
  await client.query("commit");
  return { name, file, at: text(row, "at"), tables };
}

/** A file of which nobody knows how long it will be. */
async function storePieces(path: string, pieces: AsyncIterable<Buffer>, { writer, digest }: Packing, onBytes: (bytes: number) => void): Promise<FileEntry> {
  const runs = new RunBuilder();
  let length = 0;
  let rest = Buffer.alloc(0);
  const add = (block: Buffer): void => (isAllZero(block) ? runs.addZeros(1) : runs.add({ blocks: 1, at: writer.append(block, digest(block)) }));
  for await (const piece of pieces) {
    length += piece.length;
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % DUMP_BLOCK_BYTES);
    for (let at = 0; at < whole; at += DUMP_BLOCK_BYTES) add(bytes.subarray(at, at + DUMP_BLOCK_BYTES));
    rest = Buffer.from(bytes.subarray(whole));
    await writer.ready();
    onBytes(length);
  }
  if (rest.length > 0) add(Buffer.concat([rest, Buffer.alloc(DUMP_BLOCK_BYTES - rest.length)]));
  return { type: "file", path, length, runs: runs.finish() };
}
