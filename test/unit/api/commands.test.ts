import { expect, test } from "vitest";
import { queuedCommands } from "../../../src/catalog/commands.ts";
import { fillWeek, openGuardedApi, raiseAlert } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

type Answer = Awaited<ReturnType<ApiFixture["ask"]>>;

async function post(fixture: ApiFixture, url: string, token: string, payload: object, key: string | null = "key-1"): Promise<Answer> {
  return fixture.ask(`/api/v1/${url}`, token, { method: "POST", payload, headers: key === null ? {} : { "idempotency-key": key } });
}

test("a command is in the queue, has an address at once, and who asked is on record before", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("operator", { name: "ann" });
  const answer = await post(fixture, "sources/orders/backups", token, { type: "full" });
  expect([answer.statusCode, answer.headers.location, answer.json()]).toEqual([202, "/api/v1/runs/run-1", { id: "run-1", source: "orders", operation: "backup", state: "queued" }]);
  expect(queuedCommands(fixture.history.catalog)).toMatchObject([{ id: "run-1", kind: "backup", source: "orders", args: { type: "full" }, requestedBy: "ann" }]);
  expect(fixture.access).toEqual([
    { kind: "access.used", facts: { by: "ann", id: expect.any(String) as string, role: "operator", address: null, action: "backup.request", source: "orders", type: "full" } },
  ]);
  const run = await fixture.ask("/api/v1/runs/run-1", token);
  expect([run.statusCode, run.json()]).toMatchObject([200, { operation: "backup", type: "full", outcome: "queued", startedAt: null, finishedAt: null }]);
  fixture.history.entry("run.started", "2026-11-08 12:00", { run: "run-1", source: "orders", operation: "backup", type: "full", trigger: "manual", holder: {} });
  expect((await fixture.ask("/api/v1/runs/run-1", token)).json()).toMatchObject({ outcome: "running", startedAt: "2026-11-08T12:00:00.000Z" });
});

test("the same key is the same command, from the same person; for something else it is refused", async () => {
  await using fixture = await openGuardedApi();
  const [ann, ben] = [fixture.token("operator", { name: "ann" }), fixture.token("admin", { name: "ben" })];
  const first = await post(fixture, "sources/orders/drills", ann, { select: "latest", to: "latest" });
  const again = await post(fixture, "sources/orders/drills", ann, { to: "latest", select: "latest" });
  expect([again.statusCode, again.headers.location]).toEqual([202, first.headers.location]);
  for (const [url, payload] of [
    ["sources/orders/drills", { select: "oldest" }],
    ["sources/wiki/drills", { select: "latest", to: "latest" }],
    ["sources/orders/verifications", {}],
  ] as const)
    expect((await post(fixture, url, ann, payload)).statusCode).toBe(422);
  expect((await post(fixture, "sources/orders/drills", ben, { select: "latest", to: "latest" })).headers.location).not.toBe(first.headers.location);
  expect(queuedCommands(fixture.history.catalog)).toHaveLength(2);
});

test("a command that is not whole, or of a source that is not there for whoever asks, leaves nothing behind", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("operator", { scope: ["wiki"] });
  for (const [url, payload, status] of [
    ["sources/wiki/backups", {}, 400],
    ["sources/wiki/backups", { type: "huge" }, 400],
    ["sources/wiki/backups", { type: "full", force: true }, 400],
    ["sources/wiki/drills", { repository: "nowhere" }, 400],
    ["sources/wiki/verifications", { backup: "../../etc/passwd" }, 400],
    ["sources/wiki/verifications", { tier: "restored" }, 400],
    ["sources/orders/backups", { type: "full" }, 404],
    ["sources/nothing/backups", { type: "full" }, 404],
  ] as const)
    expect([url, payload, (await post(fixture, url, token, payload)).statusCode]).toEqual([url, payload, status]);
  for (const key of [null, "", "a b", "x".repeat(201)]) expect((await post(fixture, "sources/wiki/backups", token, { type: "full" }, key)).statusCode).toBe(400);
  expect([queuedCommands(fixture.history.catalog), fixture.access]).toEqual([[], []]);
});

test("a source is paused by whoever may operate it, at once, on record before, and once for the same wish", async () => {
  await using fixture = await openGuardedApi();
  const ann = fixture.token("operator", { name: "ann" });
  const wish = { reason: "storage is moved", until: "2026-11-09T12:00:00Z" };
  for (const payload of [{}, { ...wish, until: "4 o'clock" }, { ...wish, until: "2026-11-09T12:00:00" }, { ...wish, reason: " " }, { ...wish, by: "ben" }])
    expect([payload, (await post(fixture, "sources/orders/pause", ann, payload)).statusCode]).toEqual([payload, 400]);
  expect((await post(fixture, "sources/orders/pause", ann, wish, null)).statusCode).toBe(400);
  expect((await post(fixture, "sources/orders/pause", fixture.token("operator", { name: "web", scope: ["wiki"] }), wish)).statusCode).toBe(404);
  expect(fixture.access).toEqual([]);
  const paused = { source: "orders", until: "2026-11-09T12:00:00.000Z", reason: "storage is moved", pausedBy: "ann" };
  for (let i = 0; i < 2; i++) {
    const answer = await post(fixture, "sources/orders/pause", ann, wish);
    expect([answer.statusCode, answer.headers.location, answer.json()]).toMatchObject([202, "/api/v1/status?source=orders", paused]);
  }
  expect(fixture.access).toMatchObject([{ kind: "access.used", facts: { by: "ann", action: "pause.request", source: "orders" } }]);
  expect((await fixture.ask("/api/v1/status?source=orders", ann)).json()).toMatchObject({ sources: [{ paused: { reason: "storage is moved", by: "ann" } }] });
});

test("a weakening is approved by an admin for all sources who did not make it, and by nobody else", async () => {
  await using fixture = await openGuardedApi();
  const approve = async (token: string, policy = "critical"): Promise<Answer> => post(fixture, `policies/${policy}/approve`, token, {});
  expect((await approve(fixture.token("operator"))).statusCode).toBe(403);
  expect((await approve(fixture.token("admin", { name: "web", scope: ["wiki"] }))).statusCode).toBe(403);
  expect((await approve(fixture.token("admin", { name: "mallory" }))).json()).toMatchObject({ status: 403, detail: "mallory made this change" });
  const ann = fixture.token("admin", { name: "ann" });
  expect((await approve(ann, "settled")).statusCode).toBe(404);
  expect([(await approve(ann)).statusCode, (await approve(ann)).json()]).toMatchObject([202, { policy: "critical", changedBy: "mallory", approvedBy: "ann" }]);
});

test("an alert is acknowledged by name, once, and only by whoever sees it", async () => {
  await using fixture = await openGuardedApi();
  raiseAlert(fixture);
  raiseAlert(fixture, { alert: "alert-2", key: "disk", source: null });
  const [ann, web] = [fixture.token("operator", { name: "ann" }), fixture.token("operator", { name: "web", scope: ["wiki"] })];
  const ids = async (query: string, token: string): Promise<string[]> =>
    (await fixture.ask(`/api/v1/alerts${query}`, token)).json<{ items: { id: string }[] }>().items.map(({ id }) => id);
  expect([await ids("", ann), await ids("", web), await ids("?source=orders", ann), await ids("?severity=P1", ann)]).toEqual([["alert-2", "alert-1"], [], ["alert-1"], []]);
  expect((await fixture.ask("/api/v1/alerts/alert-1", web)).statusCode).toBe(404);
  expect((await fixture.ask("/api/v1/alerts/alert-2", fixture.token("viewer", { scope: ["orders"] }))).statusCode).toBe(404);
  expect((await post(fixture, "alerts/alert-1/acknowledge", web, {})).statusCode).toBe(404);
  const done = await post(fixture, "alerts/alert-1/acknowledge", ann, { reason: "on it" });
  expect([done.statusCode, done.headers.location, done.json()]).toMatchObject([
    202,
    "/api/v1/alerts/alert-1",
    { state: "acknowledged", acknowledgedBy: "ann", acknowledgeReason: "on it" },
  ]);
  expect((await post(fixture, "alerts/alert-1/acknowledge", fixture.token("admin", { name: "ben" }), {})).json()).toMatchObject({ acknowledgedBy: "ann" });
  expect(await ids("?state=acknowledged", ann)).toEqual(["alert-1"]);
  fixture.history.entry("alert.resolved", "2026-11-08 12:00", { alert: "alert-1" });
  expect((await post(fixture, "alerts/alert-1/acknowledge", ann, {})).statusCode).toBe(409);
});

test("the audit has who did what, newest first, by kind, by person, in pages", async () => {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  const [auditor, ann] = [fixture.token("auditor", { name: "kim" }), fixture.token("operator", { name: "ann" })];
  await post(fixture, "sources/orders/backups", ann, { type: "full" });
  await fixture.ask("/api/v1/status", "wrong");
  const audit = async (query: string, token = auditor): Promise<{ kind: string; by: string | null }[]> =>
    (await fixture.ask(`/api/v1/audit?${query}`, token)).json<{ items: { kind: string; by: string | null }[] }>().items;
  expect((await audit("kind=access")).map(({ kind, by }) => [kind, by])).toEqual([
    ["access.read", "kim"],
    ["access.refused", null],
    ["access.used", "ann"],
  ]);
  expect((await audit("by=ann")).map(({ kind }) => kind)).toEqual(["access.used"]);
  expect((await audit("kind=token.added")).length).toBe(2);
  expect((await audit("limit=1&offset=1")).length).toBe(1);
  expect(await audit("to=2026-11-01T00:00:00Z")).toEqual([]);
  const scoped = await audit("", fixture.token("auditor", { name: "orders-only", scope: ["orders"] }));
  expect(scoped.map(({ kind }) => kind)).toEqual(["access.used"]);
  const text = (await fixture.ask("/api/v1/audit", auditor)).body;
  expect([text.includes(auditor), text.includes(ann), text.includes("hf_")]).toEqual([false, false, false]);
});

test("evidence is paged along its chain, and told to a token of some sources as far as it is of those", async () => {
  const entries = Array.from({ length: 25 }, (_, index) => ({
    sequence: index + 1,
    at: "2026-11-08T11:00:00.000Z",
    kind: "run.started",
    facts: { source: index % 2 === 0 ? "orders" : "wiki" },
    sha256: "ab".repeat(32),
  }));
  await using fixture = await openGuardedApi({
    evidenceHead: async () => ({ writer: "5f".repeat(32), sequence: 25, sha256: "ab".repeat(32) }),
    evidence: async (upTo, limit) => entries.slice(Math.max(0, upTo - limit), upTo).toReversed(),
  });
  const read = async (token: string): Promise<number[]> => {
    const found: number[] = [];
    for (let before: number | null = null, pages = 0; pages < 10; pages++) {
      const page: { items: { sequence: number }[]; nextBefore: number | null } = (
        await fixture.ask(`/api/v1/evidence?limit=10${before === null ? "" : `&before=${before}`}`, token)
      ).json();
      found.push(...page.items.map(({ sequence }) => sequence));
      before = page.nextBefore;
      if (before === null) return found;
    }
    throw new Error("it does not end");
  };
  expect(await read(fixture.token("auditor"))).toEqual(Array.from({ length: 25 }, (_, index) => 25 - index));
  expect(await read(fixture.token("admin", { scope: ["wiki"] }))).toEqual(Array.from({ length: 12 }, (_, index) => 24 - 2 * index));
});

test("reports that were written are listed, and not to whoever may see only some sources", async () => {
  await using fixture = await openGuardedApi();
  fixture.history.entry("report.written", "2026-11-08 10:00", { from: "2026-10-01T00:00:00.000Z", to: "2026-11-01T00:00:00.000Z", sources: null, status: "effective" });
  expect((await fixture.ask("/api/v1/reports", fixture.token("viewer"))).json()).toMatchObject({
    items: [{ writtenAt: "2026-11-08T10:00:00.000Z", status: "effective", sources: null }],
  });
  expect((await fixture.ask("/api/v1/reports", fixture.token("viewer", { scope: ["orders"] }))).json()).toMatchObject({ items: [] });
});
