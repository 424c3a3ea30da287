import { expect, test } from "vitest";
import { VERSION } from "../../../src/version.ts";
import { fillWeek, openApi, raiseAlert } from "./api-fixture.ts";

interface Document {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, { readonly get?: Operation }>>;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: object }[];
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema: { readonly properties?: Readonly<Record<string, unknown>> } }>> }>>;
}

test("the description has every route, and each can be asked as it says", async () => {
  await using fixture = await openApi();
  fillWeek(fixture.history);
  const run = fixture.history.drilled("2026-11-08 04:00");
  const document = (await fixture.json("/api/v1/openapi.json")) as unknown as Document;
  expect([document.openapi, document.info.version]).toEqual(["3.1.0", VERSION]);
  expect(Object.keys(document.paths).toSorted()).toEqual([
    "/api/v1/alerts",
    "/api/v1/alerts/{id}",
    "/api/v1/alerts/{id}/acknowledge",
    "/api/v1/audit",
    "/api/v1/backups",
    "/api/v1/compliance",
    "/api/v1/drills",
    "/api/v1/events",
    "/api/v1/evidence",
    "/api/v1/exposure",
    "/api/v1/openapi.json",
    "/api/v1/policies",
    "/api/v1/policies/{name}/approve",
    "/api/v1/reports",
    "/api/v1/runs",
    "/api/v1/runs/{id}",
    "/api/v1/sources",
    "/api/v1/sources/{name}",
    "/api/v1/sources/{name}/backups",
    "/api/v1/sources/{name}/drills",
    "/api/v1/sources/{name}/pause",
    "/api/v1/sources/{name}/verifications",
    "/api/v1/status",
    "/api/v1/wal",
    "/healthz",
    "/metrics",
    "/readyz",
  ]);
  raiseAlert(fixture);
  for (const [path, { get }] of Object.entries(document.paths)) {
    // Events do not end: events.test.ts listens to them.
    if (get === undefined || path.endsWith("/events")) continue;
    const needed = get.parameters.filter(({ in: place, required }) => place === "query" && required).map(({ name }) => `${name}=orders`);
    const response = await fixture.api.inject(`${path.replace("alerts/{id}", "alerts/alert-1").replace("{id}", run).replace("{name}", "orders")}?${needed.join("&")}`);
    expect([path, response.statusCode]).toEqual([path, 200]);
    const [type = ""] = String(response.headers["content-type"]).split(";");
    const described = get.responses["200"]?.content[type];
    expect([path, described !== undefined]).toEqual([path, true]);
    if (type === "application/json" && described?.schema.properties !== undefined)
      expect([path, Object.keys(response.json())]).toEqual([path, Object.keys(described.schema.properties)]);
  }
});

test("every operation has an id of its own, a summary, and a problem for what goes wrong", async () => {
  await using fixture = await openApi();
  const document = (await fixture.json("/api/v1/openapi.json")) as unknown as Document;
  const operations = Object.values(document.paths).flatMap(({ get }) => get ?? []);
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  expect(operations.filter(({ summary }) => summary === "")).toEqual([]);
  expect(operations.filter(({ responses }) => responses["default"]?.content["application/problem+json"] === undefined)).toEqual([]);
});

test("parameters are described with their limits", async () => {
  await using fixture = await openApi();
  const document = (await fixture.json("/api/v1/openapi.json")) as unknown as Document;
  const parameters = document.paths["/api/v1/runs"]?.get?.parameters ?? [];
  expect(parameters.map(({ name, in: place, required }) => [name, place, required])).toEqual([
    ["source", "query", false],
    ["operation", "query", false],
    ["outcome", "query", false],
    ["from", "query", false],
    ["to", "query", false],
    ["limit", "query", false],
    ["offset", "query", false],
  ]);
  expect(parameters.find(({ name }) => name === "outcome")?.schema).toMatchObject({
    enum: ["running", "succeeded", "failed", "cancelled", "interrupted", "missed", "superseded", "skipped"],
  });
  expect(document.paths["/api/v1/exposure"]?.get?.parameters.find(({ name }) => name === "source")?.required).toBe(true);
});
