import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { requireServable } from "../../../src/api/loopback.ts";
import type { Problem } from "../../../src/api/problem.ts";
import { loadTestInventory } from "../compliance/recorded-history.ts";
import { fillWeek, openApi } from "./api-fixture.ts";

async function problem(url: string, headers: Record<string, string> = {}): Promise<Problem> {
  await using fixture = await openApi();
  const response = await fixture.api.inject({ method: "GET", url, headers });
  expect(response.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
  expect(response.headers["x-content-type-options"]).toBe("nosniff");
  expect(response.headers["cache-control"]).toBe("no-store");
  const body = response.json<Problem>();
  expect(body.status).toBe(response.statusCode);
  expect(Object.keys(body)).toEqual(["type", "title", "status", "detail", "code", "hint", "errors"]);
  return body;
}

test("an address where nothing is answers 404", async () => {
  expect(await problem("/api/v1/nothing")).toMatchObject({ status: 404, title: "Not Found", type: "about:blank" });
  expect(await problem("/")).toMatchObject({ status: 404 });
});

test.each([
  "/api/v1/sources/..%2f..%2fetc%2fpasswd",
  "/api/v1/sources/%2e%2e",
  "/api/v1/sources/%00",
  "/api/v1/sources/__proto__",
  "/api/v1/sources/constructor",
  "/api/v1/sources/orders%0d%0aset-cookie:x",
  "/api/v1/sources/orders/../../../etc/passwd",
  "/../../etc/passwd",
  "/..%5c..%5cwindows",
  "//evil.example/api",
  "/api/v1/runs/'%20or%201=1--",
  "/api/v1/runs/%F0%9F%92%A9",
  "/api/v1/status/",
  "/API/v1/status",
  "/.env",
])("a hostile address finds nothing: %s", async (url) => {
  expect(await problem(url)).toMatchObject({ status: 404 });
});

test("a name that is too long to be one is refused", async () => {
  expect(await problem(`/api/v1/sources/${"a".repeat(201)}`)).toMatchObject({ status: 414 });
});

test("an address that is not well-formed is a bad request", async () => {
  expect(await problem("/api/v1/runs/%zz")).toMatchObject({ status: 400, title: "Bad Request" });
});

test("an unknown query parameter is refused by name", async () => {
  expect(await problem("/api/v1/runs?colour=red")).toMatchObject({ status: 400, errors: [{ in: "query", name: "colour", message: "is not known here" }] });
  for (const path of ["status", "sources", "sources/orders", "backups", "wal", "drills", "compliance", "policies", "openapi.json"])
    expect((await problem(`/api/v1/${path}?colour=red`)).status).toBe(400);
  for (const path of ["/healthz", "/readyz", "/metrics"]) expect((await problem(`${path}?colour=red`)).status).toBe(400);
});

test.each([
  ["/api/v1/runs?limit=0", "limit", /whole number from 1 to 500/],
  ["/api/v1/runs?limit=501", "limit", /whole number from 1 to 500/],
  ["/api/v1/runs?limit=1e9", "limit", /whole number/],
  ["/api/v1/runs?offset=-1", "offset", /whole number/],
  ["/api/v1/runs?limit=1&limit=2", "limit", /string/],
  ["/api/v1/runs?outcome=perfect", "outcome", /Invalid option/],
  ["/api/v1/runs?from=2026-11-21T10:00:00", "from", /no zone/],
  ["/api/v1/runs?from=yesterday", "from", /must be a time/],
  ["/api/v1/runs?from=2026-11-21T10:00:00Z&to=2026-11-20T10:00:00Z", "from", /earlier/],
  ["/api/v1/compliance?from=1970-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", /at most 400 days/],
  ["/api/v1/exposure", "source", /string/],
  ["/api/v1/exposure?source=", "source", /./],
])("%s is refused, and says why", async (url, name, message) => {
  const refused = await problem(url);
  expect(refused.status).toBe(400);
  expect(refused.errors).toContainEqual({ in: "query", name, message: expect.stringMatching(message) as string });
});

test("a period that becomes impossible by its usual end is refused too", async () => {
  expect(await problem("/api/v1/compliance?from=2027-01-01T00:00:00Z")).toMatchObject({ status: 400 });
  expect(await problem("/api/v1/exposure?source=orders&from=2020-01-01T00:00:00Z")).toMatchObject({ status: 400 });
});

test("a source or run that does not exist is not found", async () => {
  for (const url of [
    "/api/v1/sources/none",
    "/api/v1/status?source=none",
    "/api/v1/backups?source=none",
    "/api/v1/wal?source=none",
    "/api/v1/exposure?source=none",
    "/api/v1/compliance?source=none",
    "/api/v1/runs/none",
  ])
    expect((await problem(url)).status).toBe(404);
});

test.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const)("%s is refused wherever there is something to read", async (method) => {
  await using fixture = await openApi();
  for (const url of ["/api/v1/status", "/api/v1/sources/orders", "/api/v1/runs/x", "/metrics", "/healthz", "/api/v1/openapi.json"]) {
    const response = await fixture.api.inject({ method, url, ...(method === "POST" ? { payload: "x".repeat(5000), headers: { "content-type": "text/weird" } } : {}) });
    expect([response.statusCode, response.headers.allow, response.headers["content-type"]]).toEqual([405, "GET, HEAD", "application/problem+json; charset=utf-8"]);
  }
  expect((await fixture.api.inject({ method, url: "/api/v1/nothing" })).statusCode).toBe(404);
});

test("a large body is not read", async () => {
  await using fixture = await openApi();
  const response = await fixture.api.inject({ method: "POST", url: "/api/v1/nothing", payload: { text: "x".repeat(100_000) } });
  expect([response.statusCode, response.headers["content-type"]]).toEqual([413, "application/problem+json; charset=utf-8"]);
});

test("trouble of our own is answered without details, and told to the owner", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  fixture.history.catalog.run("update snapshots set brief = :info", { info: "{ /secret/path broken" });
  const response = await fixture.api.inject("/api/v1/status");
  expect([response.statusCode, response.headers["content-type"]]).toEqual([500, "application/problem+json; charset=utf-8"]);
  expect(response.json()).toMatchObject({ detail: "the request could not be answered", code: "HF-BUG" });
  expect(response.body).not.toMatch(/secret|JSON|at /);
  expect(fixture.errors).toHaveLength(1);
});

test("an answer that does not fit its schema is not sent", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  fixture.history.catalog.run("update runs set outcome = 'splendid' where operation = 'drill'", {});
  expect((await fixture.api.inject("/api/v1/runs")).statusCode).toBe(500);
});

test.each(["evil.example", "evil.example:8420", "192.168.0.7", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "[::2]", "10.0.0.1:8420"])(
  "a request under the name %s is refused",
  async (host) => {
    expect((await problem("/api/v1/status", { host })).status).toBe(421);
  },
);

test.each(["localhost", "LOCALHOST:8420", "127.0.0.1:8420", "127.8.9.1", "[::1]:8420", "[::ffff:127.0.0.1]"])("a request under the name %s is served", async (host) => {
  await using fixture = await openApi();
  expect((await fixture.api.inject({ url: "/healthz", headers: { host } })).statusCode).toBe(200);
});

test.each(["0.0.0.0", "::", "192.168.1.5", "db1.example.com", "128.0.0.1", "127.0.0.1.example.com", "127.0.0.256", "127.1"])(
  "nothing may listen on %s without TLS, nor let in everybody there",
  async (host) => {
    const { api } = await loadTestInventory();
    const tls = { certificate: { kind: "file", path: "/c" }, key: { kind: "file", path: "/k" }, clientCa: null, clients: new Map() } as const;
    for (const wrong of [{}, { demo: false }, { tls }, { behindProxy: true }])
      expect(() => requireServable({ ...api, host, ...wrong })).toThrow(expect.objectContaining({ code: "HF-CONFIG", hint: expect.any(String) as string }) as Error);
    for (const right of [{ tls }, { behindProxy: true }]) expect(() => requireServable({ ...api, host, demo: false, ...right })).not.toThrow();
  },
);

test.each(["127.0.0.1", "127.0.0.53", "::1", "localhost", "::ffff:127.0.0.1"])("%s is a loopback address", async (host) => {
  const { api } = await loadTestInventory();
  expect(() => requireServable({ ...api, host })).not.toThrow();
  expect(() => requireServable({ ...api, host, behindProxy: true })).toThrow(/demo/);
});

test("what is not HTTP at all gets a problem and the end of the connection", async () => {
  await using fixture = await openApi();
  await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  const { port } = fixture.api.server.address() as AddressInfo;
  const answer = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.write("NOT HTTP\r\n\r\n"));
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json/);
  expect(answer).toContain('"status":400');
});
