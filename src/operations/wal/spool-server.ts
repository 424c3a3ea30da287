import { chmod, rm } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import path from "node:path";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { PushResult } from "./push-wal.ts";

/**
 * The socket of the spooler. A client sends one line, `push SOURCE /absolute/path`, and gets one line: `0 stored`, or the exit code that `wal push` would have had and its message. A connection that
 * ends without a whole line says nothing: the client archives the file itself.
 */
export interface SpoolServerOptions {
  readonly socket: string;
  readonly push: (source: string, file: string) => Promise<PushResult>;
  readonly signal: AbortSignal;
}

const MOST_LINE_BYTES = 8192;
/** PostgreSQL reads anything above as a reason to stop. */
const HIGHEST_EXIT = 125;

/** Answers until it is stopped; what is being stored then is stored to its end, and answered. */
export async function serveSpool({ socket, push, signal }: SpoolServerOptions): Promise<void> {
  await makeRoom(socket);
  const answering = new Set<Promise<void>>();
  const idle = new Set<Socket>();
  const server = createServer((connection) => {
    idle.add(connection);
    connection.on("error", () => connection.destroy());
    connection.once("close", () => idle.delete(connection));
    readLine(connection, (line) => {
      idle.delete(connection);
      const answered = answer(line, push).then((text) => void connection.end(text));
      answering.add(answered);
      void answered.finally(() => answering.delete(answered));
    });
  });
  await listen(server, socket);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  server.close();
  for (const connection of idle) connection.destroy();
  await Promise.all(answering);
}

async function listen(server: Server, socket: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new HoldfastError("HF-CONFIG", `cannot listen on ${socket}: ${messageOf(cause)}`, { hint: "choose a shorter path, in a folder of yours, with --socket", cause })),
    );
    server.listen(socket, resolve);
  });
  // Whoever may connect may have files stored: nobody but the account of the server, and root.
  await chmod(socket, 0o600);
}

/** A socket that nobody answers on was left by one that died. */
async function makeRoom(socket: string): Promise<void> {
  const isAnswered = await new Promise<boolean>((resolve) => {
    const connection = createConnection(socket);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
  if (isAnswered) throw new HoldfastError("HF-BUSY", `somebody answers on ${socket} already`, { hint: "another 'holdfast wal spool' runs; stop it first" });
  await rm(socket, { force: true });
}

function readLine(connection: Socket, onLine: (line: string) => void): void {
  let text = "";
  connection.setEncoding("utf8");
  connection.on("data", (chunk: string) => {
    text += chunk;
    const end = text.indexOf("\n");
    if (end >= 0) {
      connection.removeAllListeners("data");
      onLine(text.slice(0, end));
    } else if (text.length > MOST_LINE_BYTES) connection.destroy();
  });
}

async function answer(line: string, push: SpoolServerOptions["push"]): Promise<string> {
  const [, source, file] = /^push (\S+) (\/.*)$/.exec(line) ?? [];
  if (source === undefined || file === undefined) return "2 not a request: push SOURCE /absolute/path\n";
  if (path.normalize(file) !== file) return `2 not a plain path: ${file}\n`;
  try {
    const { stored, reason } = await push(source, file);
    return `0 ${stored ? "stored" : (reason ?? "not stored")}\n`.replaceAll(/\n(?=.)/g, " ");
  } catch (error) {
    const code = error instanceof HoldfastError ? Math.min(error.exitCode, HIGHEST_EXIT) : HIGHEST_EXIT;
    const text = error instanceof HoldfastError ? `error[${error.code}]: ${error.message}` : messageOf(error);
    return `${code} ${text.replaceAll("\n", " ")}\n`;
  }
}
