import { once } from "node:events";
import { Agent, createServer, request as send } from "node:http";
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";

/** What becomes of one request on its way to the server or back. */
export type Meddling =
  /** Nothing. */
  | "pass"
  /** The connection is cut while the request is being sent: the server never hears of it. */
  | "cut request"
  /** Nothing happens, and no answer comes. */
  | "hang"
  /** It is done, and the answer never arrives. */
  | "lose answer"
  /** The answer breaks off in the middle of its body. */
  | "cut answer"
  /** A bit of the body flips, on the way there or back. */
  | "flip request"
  | "flip answer"
  /** The server refuses to overwrite, and the client is told that it has. */
  | "say done"
  /** This, in place of the server. */
  | { readonly answer: number; readonly body: string };

export interface Passing {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  /** When it came and when it was over, in milliseconds since the proxy started; null while it is under way. */
  readonly begunMs: number;
  endedMs: number | null;
}

export interface S3Proxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Everything that came, in order. */
  readonly seen: readonly Passing[];
  /** How many uploads of parts there were at once, at most. */
  readonly mostPartsAtOnce: number;
}

/**
 * Stands between a client and a real server, at some distance (`delayMs`) from both. Signatures stay good: they name the host that the client speaks to, and
 * it is passed on.
 */
export async function startS3Proxy(upstream: string, meddle: (passing: Passing) => Meddling, { delayMs = 0 }: { delayMs?: number } = {}): Promise<S3Proxy> {
  const seen: Passing[] = [];
  const agent = new Agent({ keepAlive: true });
  const started = performance.now();
  let [parts, mostParts] = [0, 0];
  const server = createServer((incoming, outgoing) => {
    const { method = "", url = "", headers } = incoming;
    const passing: Passing = { method, url, headers, begunMs: performance.now() - started, endedMs: null };
    seen.push(passing);
    const isPart = url.includes("partNumber=");
    if (isPart) mostParts = Math.max(mostParts, ++parts);
    outgoing.once("close", () => {
      parts -= isPart ? 1 : 0;
      passing.endedMs = performance.now() - started;
    });
    const way = { upstream, agent, incoming, outgoing };
    // A client that went away, or was cut off by us, is no failure of the proxy.
    (delayMs === 0 ? Promise.resolve() : pause(delayMs)).then(async () => handle(way, meddle(passing))).catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get mostPartsAtOnce() {
      return mostParts;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await once(server, "close");
    },
  };
}

interface Way {
  readonly upstream: string;
  readonly agent: Agent;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

async function handle(way: Way, meddling: Meddling): Promise<void> {
  const { incoming, outgoing } = way;
  if (meddling === "pass") return passOn(way);
  if (meddling === "cut request") return void incoming.socket.destroy();
  const body = await collect(incoming);
  if (meddling === "hang") return;
  if (typeof meddling === "object") return void outgoing.writeHead(meddling.answer, { "content-type": "application/xml" }).end(meddling.body);
  if (meddling === "flip request") flip(body);
  const request = requestTo(way);
  request.end(body);
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const answered = await collect(answer);
  if (meddling === "lose answer") return void incoming.socket.destroy();
  if (meddling === "flip answer") flip(answered);
  const isDenied = meddling === "say done" && answer.statusCode === 412;
  if (isDenied) return void outgoing.writeHead(200, { etag: '"0"', "content-type": "application/xml" }).end(incoming.method === "POST" ? DONE : "");
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  if (meddling !== "cut answer") return void outgoing.end(answered);
  outgoing.write(answered.subarray(0, answered.length >> 1), () => incoming.socket.destroy());
}

const DONE = "<CompleteMultipartUploadResult><ETag>0</ETag></CompleteMultipartUploadResult>";

/** As it comes: nothing is held back, there or on the way back. */
async function passOn(way: Way): Promise<void> {
  const request = requestTo(way);
  const [[answer]] = await Promise.all([once(request, "response") as Promise<[IncomingMessage]>, pipeline(way.incoming, request)]);
  way.outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  await pipeline(answer, way.outgoing);
}

function requestTo({ upstream, agent, incoming: { method, url, headers } }: Way): ClientRequest {
  return send(`${upstream}${url}`, { ...(method === undefined ? {} : { method }), headers, agent });
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function flip(bytes: Buffer): void {
  if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
}

/** The answer of a store that refuses. */
export function refusal(status: number, code: string): Meddling {
  return { answer: status, body: `<Error><Code>${code}</Code><Message>${code}</Message></Error>` };
}
