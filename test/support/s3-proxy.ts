import { once } from "node:events";
import { createServer, request as send } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

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
}

export interface S3Proxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Everything that came, in order. */
  readonly seen: readonly Passing[];
  /** How many uploads of parts there were at once, at most. */
  readonly mostPartsAtOnce: number;
}

/** Stands between a client and a real server. Signatures stay good: they name the host that the client speaks to, and it is passed on. */
export async function startS3Proxy(upstream: string, meddle: (passing: Passing) => Meddling): Promise<S3Proxy> {
  const seen: Passing[] = [];
  let [parts, mostParts] = [0, 0];
  const server = createServer((incoming, outgoing) => {
    const { method = "", url = "", headers } = incoming;
    const passing = { method, url, headers };
    seen.push(passing);
    const isPart = url.includes("partNumber=");
    if (isPart) mostParts = Math.max(mostParts, ++parts);
    outgoing.once("close", () => (parts -= isPart ? 1 : 0));
    // A client that went away, or was cut off by us, is no failure of the proxy.
    handle(upstream, incoming, outgoing, meddle(passing)).catch(() => outgoing.destroy());
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
      await once(server, "close");
    },
  };
}

async function handle(upstream: string, incoming: IncomingMessage, outgoing: ServerResponse, meddling: Meddling): Promise<void> {
  if (meddling === "cut request") return void incoming.socket.destroy();
  const body = await collect(incoming);
  if (meddling === "hang") return;
  if (typeof meddling === "object") return void outgoing.writeHead(meddling.answer, { "content-type": "application/xml" }).end(meddling.body);
  if (meddling === "flip request") flip(body);
  const answer = await forward(upstream, incoming, body);
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

async function forward(upstream: string, { method, url, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
  const request = send(`${upstream}${url}`, { ...(method === undefined ? {} : { method }), headers });
  request.end(body);
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  return answer;
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
