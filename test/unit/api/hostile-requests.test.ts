import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { addDashboard } from "../../../src/dashboard/dashboard.ts";
import { openGuardedApi } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

/** What a browser never sends, written to the socket by hand: no client between tidies it up. */
interface Line {
  readonly socket: Socket;
  /** Everything that came back, once the server has closed. */
  readonly answer: Promise<string>;
}

async function open(fixture: ApiFixture): Promise<Line> {
  if (!fixture.api.server.listening) await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  const socket = connect((fixture.api.server.address() as AddressInfo).port, "127.0.0.1");
  const answer = new Promise<string>((resolve) => {
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  return { socket, answer };
}

async function send(fixture: ApiFixture, request: string): Promise<string> {
  const { socket, answer } = await open(fixture);
  socket.write(request);
  return answer;
}

const HEAD = "Host: 127.0.0.1\r\nConnection: close\r\n";
const PATIENCE = { headMs: 400, requestMs: 800 } as const;

test("a head that comes letter by letter is cut off with a word, and holds nobody up meanwhile", async () => {
  await using fixture = await openGuardedApi({ patience: PATIENCE });
  const slow = await Promise.all(Array.from({ length: 50 }, () => open(fixture)));
  const dripping = slow.map(async ({ socket }) => {
    for (const letter of `GET /healthz HTTP/1.1\r\nX-Slow: ${"a".repeat(10_000)}`) {
      if (socket.destroyed) return;
      socket.write(letter);
      await sleep(20);
    }
  });
  expect(await send(fixture, `GET /healthz HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  for (const { answer } of slow) expect(await answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nContent-Type: application\/problem\+json/);
  await Promise.all(dripping);
});

test("a body that does not come to an end is cut off too", async () => {
  await using fixture = await openGuardedApi({ patience: PATIENCE });
  const token = fixture.token("operator");
  const { socket, answer } = await open(fixture);
  socket.write(
    `POST /api/v1/sources/orders/backups HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"type":`,
  );
  expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
  expect(fixture.access).toEqual([]);
});

test("whatever is too large is refused before it is read to its end", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("operator");
  const post = (path: string, type: string, more: string): string =>
    `POST ${path} HTTP/1.1\r\n${HEAD}Authorization: Bearer ${token}\r\nIdempotency-Key: k\r\nContent-Type: ${type}\r\n${more}`;
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  for (const [path, type] of [
    ["/api/v1/sources/orders/backups", "application/json"],
    ["/sign-in", "application/x-www-form-urlencoded"],
  ] as const) {
    expect(await send(fixture, post(path, type, `Content-Length: 999999999\r\n\r\nx`))).toMatch(/^HTTP\/1\.1 413 /);
    expect(await send(fixture, post(path, type, `Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}`))).toMatch(/^HTTP\/1\.1 413 /);
  }
  expect(await send(fixture, `GET /healthz HTTP/1.1\r\n${HEAD}X-Large: ${"a".repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
});

test.each([
  `GET /healthz HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
  `GET /healthz HTTP/1.1\r\n${HEAD}X: a\rb\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\n${HEAD}X : a\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\n${HEAD}X: a\0b\r\n\r\n`,
  "GET /healthz HTTP/1.1\r\n\r\n",
  `GET /health\x01z HTTP/1.1\r\n${HEAD}\r\n`,
])("a request that two servers could read in two ways is none (%j)", async (request) => {
  await using fixture = await openGuardedApi();
  expect(await send(fixture, request)).toMatch(/^HTTP\/1\.1 4\d\d /);
});

test.each([
  "/assets/../../../etc/passwd",
  "/assets/..%2f..%2f..%2fetc/passwd",
  "/assets/dashboard.css",
  "/sources/..%2f..%2fetc%2fpasswd",
  "/sources/orders/backups/..%2f..%2f..%2fetc%2fpasswd",
  "/sources/orders/backups/%00",
  "/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
  "/report/download/../../etc/passwd",
  "//evil.example/",
  "/\\evil.example/",
  "/;/alerts",
  "/%2e%2e/%2e%2e/etc/passwd",
])("a path that leads elsewhere leads nowhere, on pages too: %s", async (path) => {
  await using fixture = await withPages();
  const answer = await send(fixture, `GET ${path} HTTP/1.1\r\n${HEAD}Accept: text/html\r\nAuthorization: Bearer ${fixture.token("viewer")}\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
  expect(answer).not.toMatch(/root:|location:/i);
});

test("nothing that is sent becomes a line of the head of an answer", async () => {
  await using fixture = await withPages();
  const token = fixture.token("viewer");
  const broken = [
    "/\r\nset-cookie: stolen=1",
    "/%0d%0aset-cookie:%20stolen=1",
    "/\u010d\u010aset-cookie: stolen=1",
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "\t//evil.example",
    "",
  ];
  for (const next of broken) {
    const form = new URLSearchParams({ token, next }).toString();
    const answer = await fixture.ask("/sign-in", null, { method: "POST", payload: form, headers: { "content-type": "application/x-www-form-urlencoded", accept: "text/html" } });
    expect(answer.statusCode).toBe(303);
    expect([next, String(answer.headers.location)]).toEqual([next, expect.stringMatching(/^\/(?:%0d%0aset-cookie:%20stolen=1)?$/)]);
    expect(String(answer.headers["set-cookie"])).not.toContain("stolen");
  }
  for (const request of [
    `GET /sources/a%0d%0aset-cookie:stolen=1 HTTP/1.1\r\n${HEAD}Accept: text/html\r\n\r\n`,
    `GET /alerts?state=%0d%0aset-cookie:stolen=1 HTTP/1.1\r\n${HEAD}Accept: text/html\r\n\r\n`,
    `GET /api/v1/status HTTP/1.1\r\n${HEAD}X-Request-Id: stolen\r\nOrigin: https://stolen.example\r\n\r\n`,
  ]) {
    const [head = ""] = (await send(fixture, request)).split("\r\n\r\n");
    expect(head).not.toMatch(/^set-cookie/im);
    expect(head.replace(/^location: \S*$/im, "")).not.toContain("stolen");
  }
});

test("another site gets nothing done in the name of whoever has signed in here, whichever route it tries, and reads nothing", async () => {
  await using fixture = await openGuardedApi();
  const signedIn = await fixture.ask("/sign-in", null, {
    method: "POST",
    payload: new URLSearchParams({ token: fixture.token("admin") }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  const [cookie = ""] = String(signedIn.headers["set-cookie"]).split(";");
  const csrf = String(fixture.history.catalog.all("select csrf from sessions")[0]?.["csrf"]);
  const { paths } = (await fixture.ask("/api/v1/openapi.json", null, { headers: { cookie } })).json<{ paths: Record<string, object> }>();
  const commands = Object.entries(paths).flatMap(([path, methods]) => ("post" in methods ? [path.replaceAll(/\{\w+\}/g, "orders")] : []));
  expect(commands.length).toBeGreaterThan(4);
  for (const path of commands)
    for (const headers of [{}, { "x-csrf-token": "wrong" }, { "x-csrf-token": csrf, origin: "https://evil.example" }, { "x-csrf-token": csrf, "sec-fetch-site": "cross-site" }]) {
      const sent = { method: "POST", payload: {}, headers: { cookie, "idempotency-key": "k", ...headers } } as const;
      expect([path, headers, (await fixture.ask(path, null, sent)).statusCode]).toEqual([path, headers, 403]);
    }
  expect(fixture.access.filter(({ kind }) => kind === "access.used")).toEqual([]);
  for (const method of ["GET", "OPTIONS"] as const) {
    const { headers } = await fixture.ask("/api/v1/sources", null, { method, headers: { cookie, origin: "https://evil.example", "access-control-request-method": "GET" } });
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(headers["cross-origin-resource-policy"]).toBe("same-origin");
  }
});

async function withPages(): Promise<ApiFixture> {
  const fixture = await openGuardedApi();
  const { catalog, inventory, clock } = fixture.options;
  addDashboard(fixture.api, {
    catalog,
    inventory,
    clock,
    findings: [],
    version: "0",
    evidenceHead: async () => null,
    evidence: async () => [],
    visibleSources: () => [...inventory.sources.values()],
    onError: (error) => {
      throw error;
    },
  });
  return fixture;
}
