import { expect, test } from "vitest";
import { openSession, readSession } from "../../../src/access/session.ts";
import { createApi } from "../../../src/api/server.ts";
import { ROLES } from "../../../src/domain/access.ts";
import type { Role } from "../../../src/domain/access.ts";
import { loadTestInventory, WRITER } from "../compliance/recorded-history.ts";
import { fillWeek, openApi, openGuardedApi, raiseAlert } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

/**
 * Who may do what, written down once more than in the program: a route that is not in here fails, and so does one whose rule was changed.
 */
const LOOK: readonly Role[] = ["viewer", "auditor", "operator", "admin"];
const MAY: Readonly<Record<string, readonly Role[] | "everybody">> = {
  "GET /healthz": "everybody",
  "GET /readyz": "everybody",
  "GET /metrics": ROLES,
  "GET /api/v1/openapi.json": LOOK,
  "GET /api/v1/status": LOOK,
  "GET /api/v1/sources": LOOK,
  "GET /api/v1/sources/{name}": LOOK,
  "GET /api/v1/backups": LOOK,
  "GET /api/v1/wal": LOOK,
  "GET /api/v1/exposure": LOOK,
  "GET /api/v1/policies": LOOK,
  "GET /api/v1/runs": LOOK,
  "GET /api/v1/runs/{id}": LOOK,
  "GET /api/v1/drills": LOOK,
  "GET /api/v1/compliance": LOOK,
  "GET /api/v1/alerts": LOOK,
  "GET /api/v1/alerts/{id}": LOOK,
  "GET /api/v1/reports": LOOK,
  "GET /api/v1/events": LOOK,
  "GET /api/v1/audit": ["auditor", "admin"],
  "GET /api/v1/evidence": ["auditor", "admin"],
  "POST /api/v1/sources/{name}/backups": ["operator", "admin"],
  "POST /api/v1/sources/{name}/drills": ["operator", "admin"],
  "POST /api/v1/sources/{name}/verifications": ["operator", "admin"],
  "POST /api/v1/sources/{name}/pause": ["operator", "admin"],
  "POST /api/v1/policies/{name}/approve": ["admin"],
  "POST /api/v1/alerts/{id}/acknowledge": ["operator", "admin"],
};

interface Operation {
  readonly security: readonly unknown[];
  readonly "x-roles": readonly Role[] | null;
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

async function routes(fixture: ApiFixture): Promise<{ route: string; method: string; path: string; operation: Operation }[]> {
  const { paths } = (await fixture.ask("/api/v1/openapi.json", fixture.token("admin", { name: "reader" }))).json<{ paths: Paths }>();
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ route: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, operation })),
  );
}

const addressOf = (path: string, run: string): string =>
  path.replace("alerts/{id}", "alerts/alert-1").replace("{id}", run).replace("{name}", "orders") + (path.endsWith("exposure") ? "?source=orders" : "");

/** What a command is asked with; another key each time. */
let keys = 0;
const payloadOf = (path: string): object =>
  path.endsWith("backups") ? { type: "full" } : path.endsWith("pause") ? { reason: "storage is moved", until: "2026-11-09T12:00:00Z" } : {};
const contentOf = (method: string, path: string): object => (method === "GET" ? { method } : { method, headers: { "idempotency-key": `key-${++keys}` }, payload: payloadOf(path) });

test("every route has its rule, and every role is let in or kept out of every route as that says", async () => {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  const run = fixture.history.drilled("2026-11-08 04:00");
  raiseAlert(fixture);
  const all = await routes(fixture);
  expect(all.map(({ route }) => route).toSorted()).toEqual(Object.keys(MAY).toSorted());
  const tokens = new Map<Role, string>(ROLES.map((role) => [role, fixture.token(role)]));
  let [allowed, denied] = [0, 0];
  for (const { route, method, path, operation } of all) {
    const may = MAY[route] ?? [];
    expect([route, operation["x-roles"]]).toEqual([route, may === "everybody" ? null : may]);
    for (const role of ROLES) {
      // It does not end: events.test.ts listens to it.
      if (path.endsWith("/events") && may.includes(role)) continue;
      const { statusCode } = await fixture.ask(addressOf(path, run), tokens.get(role) ?? null, contentOf(method, path));
      const expected = may === "everybody" || may.includes(role) ? (method === "GET" ? 200 : 202) : 403;
      expect([route, role, statusCode]).toEqual([route, role, expected]);
      if (expected < 300) allowed++;
      else denied++;
    }
    const { statusCode } = await fixture.ask(addressOf(path, run), null, contentOf(method, path));
    expect([route, "nobody", statusCode]).toEqual([route, "nobody", may === "everybody" ? 200 : 401]);
  }
  expect([allowed > 50, denied > 10]).toEqual([true, true]);
});

test("a route without a rule does not start", async () => {
  await using fixture = await openGuardedApi();
  expect(() => fixture.api.get("/api/v1/forgotten", () => ({}))).toThrow(/no rule of access/);
});

test("whoever is not known learns nothing of what is there: not of addresses, not of methods", async () => {
  await using fixture = await openGuardedApi();
  for (const url of ["/", "/api/v1/status", "/api/v1/nothing", "/api/v1/sources/orders", "/metrics", "/%2e%2e"])
    for (const method of ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"] as const) {
      const response = await fixture.ask(url, null, { method });
      expect([url, method, response.statusCode, response.headers["www-authenticate"], response.headers.allow]).toEqual([url, method, 401, 'Bearer realm="holdfast"', undefined]);
    }
  const metrics = fixture.token("metrics");
  expect((await fixture.ask("/api/v1/status", metrics, { method: "POST" })).statusCode).toBe(403);
  expect((await fixture.ask("/api/v1/nothing", metrics)).statusCode).toBe(404);
});

test.each(["Basic aGY6aGY=", "Bearer", "Bearer ", "bearer x y", "hf_000000000000_x", "Bearer hf_", `Bearer ${"x".repeat(5000)}`])(
  "the header %s lets nobody in",
  async (authorization) => {
    await using fixture = await openApi();
    expect((await fixture.api.inject({ url: "/api/v1/status", headers: { authorization } })).statusCode).toBe(401);
  },
);

test("a token of one source sees that one only: in lists, in totals, by name, and in the history", async () => {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  const wikiRun = fixture.history.ran({ source: "wiki", operation: "expire", at: "2026-11-08 03:00" });
  fixture.history.ran({ source: "gone", operation: "expire", at: "2026-11-08 03:10" });
  const all = fixture.token("viewer", { name: "all" });
  for (const scope of [["orders"], ["team=payments"]]) {
    const token = fixture.token("viewer", { scope, name: scope.join() });
    const get = async (path: string): Promise<Record<string, unknown>> => (await fixture.ask(`/api/v1/${path}`, token)).json();
    const names = async (path: string): Promise<unknown[]> => [
      ...new Set(((await get(path))["items"] as { source?: string; name?: string }[]).map(({ source, name }) => source ?? name)),
    ];
    for (const path of ["sources", "backups", "wal", "runs", "drills"]) expect([path, await names(path)]).toEqual([path, ["orders"]]);
    expect((await get("status"))["sources"]).toMatchObject([{ name: "orders" }]);
    expect((await get("policies"))["items"]).toMatchObject([{ usedBy: ["orders"] }]);
    const report = await get("compliance");
    expect(report["cover"]).toMatchObject({ scope: { sources: ["orders"], notIncluded: [] } });
    expect(report["sources"]).toHaveLength(1);
    expect((await get("runs?source=wiki"))["items"]).toEqual([]);
    for (const path of ["sources/wiki", "status?source=wiki", "backups?source=wiki", "wal?source=wiki", "compliance?source=wiki", `runs/${wikiRun}`, "exposure?source=wiki"])
      expect([path, (await fixture.ask(`/api/v1/${path}`, token)).statusCode]).toEqual([path, 404]);
    const metrics = (await fixture.ask("/metrics", token)).body;
    expect([metrics.includes('source="orders"'), /wiki|gone/.test(metrics)]).toEqual([true, false]);
    const everything = ["sources", "backups", "wal", "runs", "drills", "status", "policies", "compliance"];
    for (const path of everything) expect((await fixture.ask(`/api/v1/${path}`, token)).body).not.toMatch(/wiki|gone/);
  }
  expect((await fixture.ask("/metrics", all)).body).toMatch(/wiki[^]*gone|gone[^]*wiki/);
  expect((await fixture.ask(`/api/v1/runs/${wikiRun}`, all)).statusCode).toBe(200);
});

test("refusals and an auditor's reads are on record, once and then as a number", async () => {
  await using fixture = await openGuardedApi();
  const [viewer, auditor] = [fixture.token("metrics", { name: "prom" }), fixture.token("auditor", { name: "kim" })];
  for (let i = 0; i < 50; i++) {
    await fixture.ask("/api/v1/status", `hf_${"0".repeat(12)}_${"A".repeat(43)}`);
    await fixture.ask("/api/v1/status", viewer);
    await fixture.ask("/api/v1/runs", auditor);
  }
  const facts = fixture.access.map(({ kind, facts: { why, by, role, count, routes: seen } }) => ({ kind, why, by, role, count, routes: seen }));
  expect(facts).toEqual([
    { kind: "access.refused", why: "unknown", by: null, role: null, count: 1, routes: { "GET /api/v1/status": 1 } },
    { kind: "access.refused", why: "role", by: "prom", role: "metrics", count: 1, routes: { "GET /api/v1/status": 1 } },
    { kind: "access.read", why: undefined, by: "kim", role: "auditor", count: 1, routes: { "GET /api/v1/runs": 1 } },
  ]);
  await fixture.api.close();
  expect(fixture.access.slice(3).map(({ kind, facts: { count } }) => [kind, count])).toEqual([
    ["access.refused", 49],
    ["access.refused", 49],
    ["access.read", 49],
  ]);
});

test("a flood from many addresses is a handful of entries", async () => {
  await using fixture = await openGuardedApi();
  for (let i = 0; i < 300; i++) await fixture.ask("/api/v1/status", "wrong", { remoteAddress: `10.0.${i % 7}.${i}` });
  await fixture.api.close();
  expect(fixture.access.length).toBeLessThan(25);
  expect(fixture.access.reduce((sum, { facts }) => sum + Number(facts["count"]), 0)).toBe(300);
});

test("more requests of one address than anybody needs are refused, and health still answers", async () => {
  await using fixture = await openGuardedApi({ requestsPerMinute: 5 });
  const token = fixture.token("viewer");
  const statuses: number[] = [];
  for (let i = 0; i < 7; i++) statuses.push((await fixture.ask("/api/v1/sources", token)).statusCode);
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
  const refused = await fixture.ask("/api/v1/sources", token);
  expect([refused.headers["content-type"], Number(refused.headers["retry-after"]) > 0]).toEqual(["application/problem+json; charset=utf-8", true]);
  expect((await fixture.ask("/healthz")).statusCode).toBe(200);
  expect((await fixture.ask("/api/v1/sources", token, { remoteAddress: "10.0.0.9" })).statusCode).toBe(200);
});

test("a session is as good as the token it was opened with, and no longer", async () => {
  await using fixture = await openGuardedApi();
  const { catalog } = fixture.history;
  fixture.token("viewer", { name: "ann", scope: ["orders"], expiresAt: "2026-11-08T15:00:00Z" });
  const id = String(catalog.all("select id from tokens")[0]?.["id"]);
  const store = (at: string): { catalog: typeof catalog; writer: string; now: Date } => ({ catalog, writer: WRITER, now: new Date(at) });
  const cookie = openSession(store("2026-11-08T12:00:00Z"), { kind: "token", id, name: "ann", role: "admin", scope: null });
  expect(readSession(store("2026-11-08T14:00:00Z"), cookie)?.identity).toMatchObject({ role: "viewer", scope: ["orders"] });
  expect(readSession(store("2026-11-08T15:00:01Z"), cookie)).toBeNull();
  const ask = async (headers: Record<string, string>, method: "GET" | "POST" = "GET"): Promise<number> =>
    (await fixture.ask("/api/v1/sources", null, { method, headers: { cookie: `a=b; holdfast-session=${cookie}`, ...headers } })).statusCode;
  const csrf = readSession(store("2026-11-08T14:00:00Z"), cookie)?.csrf ?? "";
  expect(await ask({})).toBe(200);
  // Let in, and then told that nothing is to be done there.
  expect(await ask({ "x-csrf-token": csrf, origin: "http://localhost:8420", host: "localhost:8420" }, "POST")).toBe(405);
  for (const headers of [
    {},
    { "x-csrf-token": "x" },
    { "x-csrf-token": `${csrf}x` },
    { "x-csrf-token": csrf, origin: "http://evil.example", host: "localhost:8420" },
    { "x-csrf-token": csrf, origin: "null", host: "localhost:8420" },
    { "x-csrf-token": csrf, "sec-fetch-site": "cross-site" },
    { "x-csrf-token": csrf, "sec-fetch-site": "same-site" },
  ])
    expect([headers, await ask(headers, "POST")]).toEqual([headers, 403]);
  fixture.history.entry("token.revoked", "2026-11-08 12:00", { id });
  expect(await ask({})).toBe(401);
});

test("without TLS where the inventory says TLS, nothing starts", async () => {
  await using fixture = await openApi();
  const { catalog } = fixture.history;
  const material = { certificate: "x", key: "y", clientCa: null };
  const inventory = await loadTestInventory();
  await expect(
    createApi({
      catalog,
      inventory,
      writer: WRITER,
      tls: material,
      version: "0",
      clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => undefined },
      record: async () => undefined,
      newRunId: () => "x",
      changes: fixture.options.changes,
      isSchedulerRunning: () => true,
    }),
  ).rejects.toThrow(/certificate and key/);
});
