import type { AddressInfo } from "node:net";
import { Validator } from "@seriousme/openapi-schema-validator";
import { OpenAPIClientAxios } from "openapi-client-axios";
import type { Document, OpenAPIClient } from "openapi-client-axios";
import { expect, test } from "vitest";
import { fillWeek, openGuardedApi } from "./api-fixture.ts";

/** The description, read by those who did not write it: a validator of OpenAPI, and a client that is made from it. */
test("a validator of others has nothing to say against the description", async () => {
  await using fixture = await openGuardedApi();
  const document = (await fixture.ask("/api/v1/openapi.json", fixture.token("viewer"))).json<Record<string, unknown>>();
  const validator = new Validator();
  expect(await validator.validate(document)).toMatchObject({ valid: true });
  expect(validator.version).toBe("3.1");
  const broken = structuredClone(document);
  delete broken["paths"];
  expect(await new Validator().validate({ ...broken, info: {} })).toMatchObject({ valid: false });
});

test("a client that is made from the description asks, commands, and is refused as it should be", async () => {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  const baseURL = `http://127.0.0.1:${(fixture.api.server.address() as AddressInfo).port}`;
  const definition = (await fixture.ask("/api/v1/openapi.json", fixture.token("viewer", { name: "reader" }))).json<Document>();
  const connect = async (token: string): Promise<OpenAPIClient> =>
    new OpenAPIClientAxios({ definition, axiosConfigDefaults: { baseURL, headers: { authorization: `Bearer ${token}` }, validateStatus: () => true } }).init();
  const operator = await connect(fixture.token("operator"));
  const runs = await operator["ApiVRuns"]?.({ source: "orders", outcome: "missed" });
  expect([runs?.status, runs?.data]).toMatchObject([200, { items: [{ source: "orders", slots: 5 }], nextOffset: null }]);
  const one = await operator["ApiVSourcesName"]?.({ name: "orders" });
  expect(one?.data).toMatchObject({ source: { name: "orders" } });
  const backup = await operator["postApiVSourcesNameBackups"]?.({ name: "orders", "idempotency-key": "from-a-client" }, { type: "full" });
  expect([backup?.status, backup?.headers["location"], backup?.data]).toMatchObject([202, "/api/v1/runs/run-1", { state: "queued" }]);
  const viewer = await connect(fixture.token("viewer"));
  const refused = await viewer["postApiVSourcesNameBackups"]?.({ name: "orders", "idempotency-key": "x" }, { type: "full" });
  expect([refused?.status, refused?.data]).toMatchObject([403, { status: 403, title: "Forbidden" }]);
});
