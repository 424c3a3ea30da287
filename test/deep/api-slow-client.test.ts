import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { appendEvent } from "../../src/catalog/events.ts";
import { openGuardedApi } from "../unit/api/api-fixture.ts";

/** More than all buffers between two programs on one machine hold. */
const ROUNDS = 40;
const EVENTS_A_ROUND = 10;
const EVENT_BYTES = 60_000;

test("a client that does not read is let go, and one that does is told everything", { timeout: 60_000 }, async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("viewer");
  await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  const { port } = fixture.api.server.address() as AddressInfo;
  const open = (): { bytes: () => number; closed: () => boolean; pause: () => void; end: () => void } => {
    const socket = connect(port, "127.0.0.1");
    let [bytes, isClosed] = [0, false];
    socket.on("data", (chunk) => (bytes += chunk.length));
    socket.on("error", () => undefined);
    socket.on("close", () => (isClosed = true));
    socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    return { bytes: () => bytes, closed: () => isClosed, pause: () => void socket.pause(), end: () => void socket.destroy() };
  };
  const [slow, quick] = [open(), open()];
  await sleep(500);
  slow.pause();
  const data = { text: "x".repeat(EVENT_BYTES) };
  for (let round = 0; round < ROUNDS; round++) {
    fixture.history.catalog.transaction(() => {
      for (let i = 0; i < EVENTS_A_ROUND; i++) appendEvent(fixture.history.catalog, { at: "x", kind: "run.progress", source: "orders", data });
    });
    await sleep(600);
  }
  expect([quick.bytes() > ROUNDS * EVENTS_A_ROUND * EVENT_BYTES, quick.closed()]).toEqual([true, false]);
  expect(await connections(fixture.api.server)).toBe(1);
  for (const client of [slow, quick]) client.end();
});

async function connections(server: { getConnections(callback: (error: Error | null, count: number) => void): void }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}
