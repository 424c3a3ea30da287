import fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { expect, test } from "vitest";
import { keepSummary } from "../../../src/compliance/source-summary.ts";
import { addDashboard } from "../../../src/dashboard/dashboard.ts";
import { iso, loadTestInventory, openHistory, WRITER } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const NOW = new Date(iso("2026-11-08 12:00:10"));

/** The pages for somebody who may see `wiki`, and not `orders`, on a history that has something of both everywhere. */
async function openPages(history: History): Promise<FastifyInstance> {
  const inventory = await loadTestInventory();
  for (const source of ["orders", "wiki"]) {
    history.ran({ source, operation: "backup", type: "full", at: "2026-11-08 02:00", outcome: "failed", reason: `the disk of ${source}` });
    history.drilled("2026-11-08 04:00", {}, { source });
    history.seen("2026-11-08 12:00", { name: source });
    history.entry("alert.raised", "2026-11-08 11:00", { alert: source, key: source, kind: "wal_gap", severity: "P1", source, title: `gap of ${source}`, whatToDo: "look" });
  }
  for (const source of inventory.sources.values()) keepSummary(history.catalog, source, NOW);
  const server = fastify();
  // As the gate does, which is not at the door here.
  server.decorateRequest("identity", null).decorateRequest("session", null);
  const head = { writer: WRITER, sequence: 2, sha256: "ab".repeat(32) };
  const entry = (sequence: number, source: string): { sequence: number; at: string; kind: string; facts: { source: string }; sha256: string } => ({
    sequence,
    at: NOW.toISOString(),
    kind: "run.finished",
    facts: { source },
    sha256: "00",
  });
  addDashboard(server, {
    catalog: history.catalog,
    inventory,
    clock: { now: () => NOW, monotonicMs: () => 0, sleep: async () => undefined },
    findings: [{ file: "/etc/critical.yaml", line: 1, column: 1, severity: "warning", message: "tight", hint: "widen", sources: ["orders"] }],
    version: "0",
    evidenceHead: async () => head,
    evidence: async () => [entry(2, "orders"), entry(1, "wiki")],
    visibleSources: () => [...inventory.sources.values()].filter(({ name }) => name === "wiki"),
    onError: (error) => {
      throw error;
    },
  });
  return server;
}

test("whoever may see one source sees nothing of another, on any page", async () => {
  await using history = await openHistory();
  const server = await openPages(history);
  for (const path of ["/", "/alerts", "/runs", "/runs?source=wiki", "/drills?source=wiki", "/policies", "/storage", "/report", "/audit", "/report/download?format=json"]) {
    const { statusCode, body } = await server.inject(path);
    // What a drill checked in it has a name of its own.
    expect([path, statusCode, body.replaceAll("orders count", "").includes("orders")]).toEqual([path, 200, false]);
  }
  await server.close();
});

test("what may not be seen is not there: no page, no run, no list of runs", async () => {
  await using history = await openHistory();
  const server = await openPages(history);
  const [run] = history.catalog.all("select id from runs where source = 'orders'");
  for (const path of [
    "/sources/orders",
    "/sources/orders/backups/20261101T020000Z-full",
    `/runs/${String(run?.["id"])}`,
    "/report?source=orders",
    "/report/download?source=orders",
  ])
    expect([path, (await server.inject(path)).statusCode]).toEqual([path, 404]);
  expect((await server.inject("/runs?source=orders")).body).not.toContain("the disk of orders");
  expect((await server.inject("/sources/wiki")).body).toContain("the disk of wiki");
  await server.close();
});
