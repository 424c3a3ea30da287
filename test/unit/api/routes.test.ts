import { expect, test } from "vitest";
import { buildReport } from "../../../src/compliance/report.ts";
import { iso, loadTestInventory, SNAPSHOT, WRITER } from "../compliance/recorded-history.ts";
import { fillWeek, openApi } from "./api-fixture.ts";

test("health looks at nothing, and answers with a closed catalog", async () => {
  await using fixture = await openApi({ isSchedulerRunning: () => false });
  expect((await fixture.api.inject("/healthz")).json()).toEqual({ status: "ok" });
});

test("ready while the catalog answers and the scheduler runs, 503 otherwise", async () => {
  let isRunning = true;
  await using fixture = await openApi({ isSchedulerRunning: () => isRunning });
  expect((await fixture.api.inject("/readyz")).json()).toEqual({ status: "ready" });
  isRunning = false;
  const stopped = await fixture.api.inject("/readyz");
  expect([stopped.statusCode, stopped.json<{ detail: string }>().detail]).toEqual([503, "the scheduler does not run"]);
});

test("without a catalog it is not ready, and still healthy", async () => {
  await using fixture = await openApi();
  const { catalog } = fixture.history;
  catalog[Symbol.dispose]();
  expect((await fixture.api.inject("/readyz")).statusCode).toBe(503);
  expect((await fixture.api.inject("/healthz")).statusCode).toBe(200);
  Object.defineProperty(fixture.history.catalog, Symbol.dispose, { value: () => undefined });
});

test("status says of every source how it stands and why", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const status = await fixture.json("/api/v1/status");
  expect(status).toMatchObject({
    verdict: "unknown",
    sources: [
      {
        name: "orders",
        tier: "critical",
        verdict: "unknown",
        objectives: { rtoSeconds: 900, rpoSeconds: 300 },
        recoverableTo: "2026-11-08T11:59:50.000000Z",
        copies: [
          { repository: "onsite", observed: true, exposureSeconds: 4.5, held: true },
          { repository: "cloud", observed: false, exposureSeconds: null, held: null },
        ],
        lastDrill: { verdict: "pass", rtoActualSeconds: 412.5 },
      },
      { name: "wiki", verdict: "unknown" },
    ],
  });
  expect(await fixture.json("/api/v1/status?source=wiki")).toMatchObject({ sources: [{ name: "wiki" }] });
});

test("sources are listed and shown without addresses or places", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const list = await fixture.api.inject("/api/v1/sources");
  const one = await fixture.api.inject("/api/v1/sources/orders");
  expect(list.json<{ items: unknown[] }>().items).toMatchObject([{ name: "orders", labels: { team: "payments" }, repositories: ["onsite", "cloud"] }, { name: "wiki" }]);
  expect(one.json()).toMatchObject({
    source: { systemIdentifier: "7571234567890123456" },
    status: { name: "orders" },
    backups: [{ id: "20261101T020000Z-full" }],
    wal: { windows: [{ repository: "onsite" }, { repository: "cloud" }] },
  });
  expect(list.body + one.body).not.toMatch(/ORDERS_URL|HOLDFAST_KEY|\/etc\/|\/var\/|\/srv\/|file:/);
});

test("policies show their rules, and of checks only the names", async () => {
  await using fixture = await openApi();
  const response = await fixture.api.inject("/api/v1/policies");
  expect(response.json()).toMatchObject({
    items: [
      {
        name: "critical",
        usedBy: ["orders", "wiki"],
        backups: [{ type: "full", schedule: { kind: "cron", expression: "0 2 * * 0" }, retention: { keepForSeconds: 7_257_600 } }, { type: "incremental" }],
        log: { schedule: { kind: "stream" } },
        expire: { schedule: { kind: "every", everySeconds: 3600 } },
        drills: { select: "random", checks: [{ kind: "sql", required: true }] },
      },
    ],
  });
  expect(response.body).not.toContain("secret_table");
});

test("backups and WAL come from what was last seen", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  expect(await fixture.json("/api/v1/backups?source=orders")).toMatchObject({
    items: [{ source: "orders", id: "20261101T020000Z-full", copies: [{ repository: "onsite" }, { repository: "cloud" }] }],
    nextOffset: null,
  });
  expect(await fixture.json("/api/v1/backups?source=wiki")).toEqual({ items: [], nextOffset: null });
  expect(await fixture.json("/api/v1/wal?source=orders")).toMatchObject({ items: [{ source: "orders", gaps: [], windows: [{ timeline: 1 }, { timeline: 1 }] }] });
  expect(await fixture.json("/api/v1/wal?source=wiki")).toMatchObject({ items: [{ gaps: null, seenAt: null }] });
});

test("of each copy of a backup it is told until when it is locked; null where no lock is known", async () => {
  await using fixture = await openApi();
  const [backup] = SNAPSHOT.backups;
  const copies = (backup?.copies ?? []).map((copy) => (copy.repository === "cloud" ? { ...copy, lockedUntil: "2027-01-01T00:00:00.000Z" } : copy));
  fixture.history.seen("2026-11-08 12:00", { backups: backup === undefined ? [] : [{ ...backup, copies }] });
  expect(await fixture.json("/api/v1/backups?source=orders")).toMatchObject({
    items: [
      {
        copies: [
          { repository: "onsite", lockedUntil: null },
          { repository: "cloud", lockedUntil: "2027-01-01T00:00:00.000Z" },
        ],
      },
    ],
  });
});

test("runs are filtered, and paged without losing or repeating one", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  for (let hour = 0; hour < 7; hour++) fixture.history.ran({ source: "wiki", operation: "expire", at: `2026-11-08 0${hour}:00` });
  const ids: string[] = [];
  for (let offset: number | null = 0; offset !== null;) {
    const page: { items: { id: string }[]; nextOffset: number | null } = (await fixture.api.inject(`/api/v1/runs?limit=3&offset=${offset}`)).json();
    expect(page.items.length).toBeLessThanOrEqual(3);
    ids.push(...page.items.map(({ id }) => id));
    offset = page.nextOffset;
  }
  expect(ids).toHaveLength(13);
  expect(new Set(ids).size).toBe(13);
  const outcomes = async (query: string): Promise<string[]> => ((await fixture.json(`/api/v1/runs?${query}`))["items"] as { outcome: string }[]).map(({ outcome }) => outcome);
  expect(await outcomes("source=orders&operation=backup")).toEqual(["failed", "missed", "succeeded", "superseded"]);
  expect(await outcomes("outcome=missed")).toEqual(["missed"]);
  expect(await outcomes("source=orders&from=2026-11-02T00:00:00Z&to=2026-11-03T00:00:00%2B00:00")).toEqual(["succeeded"]);
  expect(await outcomes("source=gone")).toEqual([]);
});

test("a missed interval is one entry that stands for its slots", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  expect(await fixture.json("/api/v1/runs?outcome=missed")).toMatchObject({
    items: [{ slots: 5, scheduledFor: "2026-11-02T02:00:00.000Z", until: "2026-11-06T02:00:00.000Z", durationSeconds: null }],
  });
});

test("one run is shown with the figures it put on record", async () => {
  await using fixture = await openApi();
  const id = fixture.history.drilled("2026-11-02 04:00:00");
  expect(await fixture.json(`/api/v1/runs/${id}`)).toMatchObject({ id, operation: "drill", durationSeconds: 300, facts: { verdict: "pass", walSegments: 12 } });
  expect(await fixture.json("/api/v1/drills")).toMatchObject({
    items: [{ run: id, verdict: "pass", rtoActualSeconds: 412.5, checks: [{ name: "reached the target" }, { name: "orders count" }] }],
    nextOffset: null,
  });
});

test("exposure over a period has shares, breaches and a series", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const exposure = await fixture.json("/api/v1/exposure?source=orders&from=2026-11-08T11:00:00Z&to=2026-11-08T12:00:00Z");
  expect(exposure).toMatchObject({
    source: "orders",
    measuredUntil: "2026-11-08T12:00:00.000Z",
    copies: [
      { repository: "onsite", withinObjectiveShare: 1, worst: { seconds: 4.5 } },
      { repository: "cloud", verdict: "not_evidenced" },
    ],
  });
  expect((exposure["copies"] as { unobservedShare: number }[])[1]?.unobservedShare).toBeCloseTo(1 - (29.75 * 60 + 60) / 3600, 6);
  expect(await fixture.json("/api/v1/exposure?source=orders&from=2026-11-08T11:00:00Z&to=2026-11-10T00:00:00Z")).toMatchObject({ measuredUntil: "2026-11-08T12:00:10.000Z" });
});

test("compliance answers with the very report that is written to a file", async () => {
  const head = { writer: WRITER, sequence: 12, sha256: "ab".repeat(32) };
  await using fixture = await openApi({ evidenceHead: async () => head });
  fillWeek(fixture.history);
  const [from, to, now] = ["2026-11-01 00:00", "2026-11-08 00:00", "2026-11-08 12:00:10"].map((text) => new Date(iso(text))) as [Date, Date, Date];
  const report: unknown = buildReport({ catalog: fixture.history.catalog, inventory: await loadTestInventory(), from, to, now, sources: null, evidenceHead: head });
  expect(await fixture.json("/api/v1/compliance?from=2026-11-01T00:00:00Z&to=2026-11-08T00:00:00Z")).toEqual(report);
});

test("an answer has a tag, and who has it already gets 304 without a body", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const first = await fixture.api.inject("/api/v1/status");
  const tag = String(first.headers.etag);
  expect(tag).toMatch(/^"[\w-]{27}"$/);
  for (const header of [tag, `"other", W/${tag}`, "*"]) {
    const again = await fixture.api.inject({ url: "/api/v1/status", headers: { "if-none-match": header } });
    expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, "", tag]);
  }
  fixture.history.drilled("2026-11-08 11:00");
  expect((await fixture.api.inject({ url: "/api/v1/status", headers: { "if-none-match": tag } })).statusCode).toBe(200);
});

test("HEAD answers as GET without the body", async () => {
  await using fixture = await openApi();
  const [get, head] = [await fixture.api.inject("/api/v1/sources"), await fixture.api.inject({ method: "HEAD", url: "/api/v1/sources" })];
  expect([head.statusCode, head.body, head.headers.etag, head.headers["content-length"]]).toEqual([200, "", get.headers.etag, get.headers["content-length"]]);
});
