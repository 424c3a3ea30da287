import type pg from "pg";
import { formatLsn, lsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { fromPostgresTime } from "./wal-records.ts";
import type { Micros } from "../domain/timestamp.ts";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";
import { free } from "../spare-memory.ts";
import { connect, escapeIdentifier } from "./connection.ts";
import type { ConnectionTarget } from "./connection.ts";

/** The streaming replication protocol, physical (PostgreSQL docs 55.4): what the server sends, and what we report back. */
export interface WalReceiver extends AsyncDisposable {
  readonly lost: AbortSignal;
  identify(): Promise<SystemIdentification>;
  /** The content of a timeline's history file. Timeline 1 has none. */
  history(timeline: number): Promise<Buffer>;
  /** Makes sure that the slot exists and holds WAL back. */
  ensureSlot(name: string): Promise<void>;
  /** Streams from `start` (a segment boundary) until the timeline ends, the signal aborts, or the connection is lost. */
  stream(request: StreamRequest): AsyncGenerator<WalMessage, EndOfTimeline | null>;
  /** Reports positions: everything below `flush` is durable with us. */
  report(flush: Lsn, write: Lsn): void;
}

interface SystemIdentification {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** The server's flush position. */
  readonly position: Lsn;
}

interface StreamRequest {
  readonly slot: string | null;
  readonly timeline: number;
  readonly start: Lsn;
  readonly signal: AbortSignal;
}

/** `bytes` are there until the next message is asked for. */
export type WalMessage =
  | { readonly kind: "wal"; readonly start: Lsn; readonly bytes: Buffer; readonly serverEnd: Lsn; readonly sentAt: Micros }
  | { readonly kind: "keepalive"; readonly serverEnd: Lsn; readonly sentAt: Micros; readonly replyRequested: boolean };

interface EndOfTimeline {
  readonly nextTimeline: number;
  readonly switchpoint: Lsn;
}

/** Messages waiting to be consumed; beyond it the socket is paused. At 128 KiB a message this bounds memory to 8 MiB. */
const QUEUE_LIMIT = 64;

interface CopyConnection {
  on(event: "copyData" | "copyDone", listener: (message: { chunk: Buffer }) => void): void;
  removeListener(event: "copyData" | "copyDone", listener: (message: { chunk: Buffer }) => void): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  readonly stream: { pause(): void; resume(): void };
}

export async function openWalReceiver(target: ConnectionTarget): Promise<WalReceiver> {
  const connection = await connect(target, { purpose: "wal", replication: true });
  const { client } = connection;
  const wire = (client as pg.Client & { connection: CopyConnection }).connection;
  return {
    lost: connection.lost,
    identify: async () => {
      const [row] = await command(client, "IDENTIFY_SYSTEM");
      return { systemIdentifier: String(row?.["systemid"]), timeline: Number(row?.["timeline"]), position: parseLsn(String(row?.["xlogpos"])) };
    },
    history: async (timeline) => {
      // The content comes as bytea without being declared so: read it as the bytes it is, not as hexadecimal.
      const [row] = await command(client, `TIMELINE_HISTORY ${timeline}`);
      const content = row?.["content"];
      return Buffer.isBuffer(content) ? content : Buffer.from(String(content), "latin1");
    },
    ensureSlot: (name) => ensureSlot(client, name),
    stream: (request) => stream(client, wire, connection.lost, request),
    report: (flush, write) => wire.sendCopyFromChunk(statusUpdate(flush, write)),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

async function command(client: pg.Client, sql: string): Promise<Record<string, unknown>[]> {
  try {
    const result = await client.query<Record<string, unknown>>(sql);
    return result.rows;
  } catch (error) {
    throw replicationError(error);
  }
}

function replicationError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const facts = { sqlState: codeOf(error) };
  if (codeOf(error) === "42501") return new HoldfastError("HF-CONNECT", messageOf(error), { hint: "the role needs the REPLICATION attribute", facts, cause: error });
  return new HoldfastError("HF-WAL", messageOf(error), { facts, cause: error });
}

const DUPLICATE_OBJECT = "42710";

async function ensureSlot(client: pg.Client, name: string): Promise<void> {
  try {
    await client.query(`CREATE_REPLICATION_SLOT ${escapeIdentifier(name)} PHYSICAL RESERVE_WAL`);
  } catch (error) {
    if (codeOf(error) !== DUPLICATE_OBJECT) throw replicationError(error);
  }
}

async function* stream(client: pg.Client, wire: CopyConnection, lost: AbortSignal, request: StreamRequest): AsyncGenerator<WalMessage, EndOfTimeline | null> {
  const queue: Buffer[] = [];
  let wake: () => void = () => undefined;
  const state: { ended: { result: EndOfTimeline | null } | { error: unknown } | null } = { ended: null };
  const onData = ({ chunk }: { chunk: Buffer }): void => {
    // The parser reuses its buffer: what waits must be our own.
    queue.push(Buffer.from(chunk));
    if (queue.length >= QUEUE_LIMIT) wire.stream.pause();
    wake();
  };
  const end = (how: typeof state.ended): void => {
    state.ended ??= how;
    wake();
  };
  const onLost = (): void => end({ error: lost.reason });
  const onAbort = (): void => end({ result: null });
  // Both sides say that they are done, each once: the server at the end of a timeline, we when we stop.
  let done = false;
  const sayDone = (): void => {
    if (done || lost.aborted) return;
    done = true;
    wire.endCopyFrom();
  };
  wire.on("copyData", onData);
  wire.on("copyDone", sayDone);
  lost.addEventListener("abort", onLost);
  request.signal.addEventListener("abort", onAbort);
  const slot = request.slot === null ? "" : `SLOT ${escapeIdentifier(request.slot)} `;
  const sql = `START_REPLICATION ${slot}PHYSICAL ${formatLsn(request.start)} TIMELINE ${request.timeline}`;
  client.query<Record<string, unknown>>(sql).then(
    (result) => end({ result: endOfTimeline(result as unknown) }),
    (error: unknown) => end({ error: replicationError(error) }),
  );
  try {
    if (request.signal.aborted) onAbort();
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) {
        if (queue.length === QUEUE_LIMIT >> 1) wire.stream.resume();
        const message = decode(chunk);
        if (message !== null) yield message;
        free(chunk);
        continue;
      }
      if (state.ended !== null) {
        if ("error" in state.ended) throw state.ended.error;
        return state.ended.result;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    wire.removeListener("copyData", onData);
    lost.removeEventListener("abort", onLost);
    request.signal.removeEventListener("abort", onAbort);
    wire.stream.resume();
    if (state.ended === null || "result" in state.ended) sayDone();
    wire.removeListener("copyDone", sayDone);
  }
}

/** Several results come back: the row that names the next timeline, if this one ended, is among them. */
function endOfTimeline(results: unknown): EndOfTimeline | null {
  for (const result of Array.isArray(results) ? results : [results]) {
    const rows = (result as { rows?: Record<string, unknown>[] }).rows ?? [];
    const [row] = rows;
    if (row?.["next_tli"] !== undefined) return { nextTimeline: Number(row["next_tli"]), switchpoint: parseLsn(String(row["next_tli_startpos"])) };
  }
  return null;
}

function decode(chunk: Buffer): WalMessage | null {
  const kind = chunk[0];
  if (kind === 0x77)
    return {
      kind: "wal",
      start: lsn(chunk.readBigUInt64BE(1)),
      serverEnd: lsn(chunk.readBigUInt64BE(9)),
      sentAt: fromPostgresTime(chunk.readBigInt64BE(17)),
      bytes: chunk.subarray(25),
    };
  if (kind === 0x6b) return { kind: "keepalive", serverEnd: lsn(chunk.readBigUInt64BE(1)), sentAt: fromPostgresTime(chunk.readBigInt64BE(9)), replyRequested: chunk[17] === 1 };
  return null;
}

/** `apply` stays 0: we replay nothing, and must never satisfy a commit that waits for it. */
function statusUpdate(flush: Lsn, write: Lsn): Buffer {
  const message = Buffer.alloc(34);
  message.writeUInt8(0x72, 0);
  message.writeBigUInt64BE(write, 1);
  message.writeBigUInt64BE(flush, 9);
  return message;
}
