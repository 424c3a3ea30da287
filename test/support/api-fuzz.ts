import fc from "fast-check";
import { expect } from "vitest";
import { fillWeek, openGuardedApi, raiseAlert } from "../unit/api/api-fixture.ts";
import type { ApiFixture } from "../unit/api/api-fixture.ts";

/** Requests made from the description of the API: of what it asks for, what it nearly asks for, and what nobody should send. */
interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly schema: { readonly enum?: readonly string[] };
}
interface Operation {
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly content: { readonly "application/json": { readonly schema: { readonly properties?: Readonly<Record<string, { readonly enum?: readonly string[] }>> } } };
  };
}
interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string | null;
}

const HOSTILE = [
  "../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "%00",
  "%0d%0aset-cookie: x=y",
  "' or 1=1 --",
  '"; drop table runs; --',
  "__proto__",
  "constructor",
  "\u0000",
  "\u202e",
  "💩",
  "-1",
  "1e309",
  "NaN",
  "9".repeat(400),
  "2026-13-45T99:99:99Z",
  "2026-11-08T12:00:00",
  "{}",
  "[]",
  "null",
  "hf_000000000000_x",
  "a".repeat(5000),
];
const USUAL = [
  "orders",
  "wiki",
  "full",
  "drill",
  "running",
  "latest",
  "onsite",
  "10",
  "0",
  "2026-11-08T11:00:00Z",
  "2026-11-01T00:00:00Z",
  "alert-1",
  "run-1",
  "access",
  "P1",
  "key-1",
];

const anyText = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...USUAL) },
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 2, arbitrary: fc.string({ unit: "binary" }) },
);
const anyValue = fc.oneof(anyText, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.jsonValue());
const anyHeader = fc.oneof(fc.constant("key-0"), fc.constantFrom("key-1", "key-2", "", "a b", "x".repeat(300)), fc.stringMatching(/^[\x20-\x7e]{0,40}$/));

function requestArbitrary(paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>): fc.Arbitrary<Request> {
  const operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  const asked = fc.constantFrom(...operations.filter(({ path }) => !path.endsWith("/events")));
  return asked.chain(({ path, method, operation }) => {
    const valueOf = (schema: Parameter["schema"]): fc.Arbitrary<string> =>
      schema.enum === undefined ? anyText : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...schema.enum) }, { weight: 1, arbitrary: anyText });
    const named = (place: Parameter["in"]): Parameter[] => operation.parameters.filter((parameter) => parameter.in === place);
    const query = fc.record(Object.fromEntries(named("query").map(({ name, schema }) => [name, valueOf(schema)])), { requiredKeys: [] });
    const strange = fc.oneof(
      { weight: 5, arbitrary: fc.constant<Record<string, string>>({}) },
      { weight: 1, arbitrary: fc.dictionary(fc.string({ maxLength: 10 }), anyText, { maxKeys: 1 }) },
    );
    const properties = operation.requestBody?.content["application/json"].schema.properties ?? {};
    const body = fc.record(
      Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, fc.oneof({ weight: 3, arbitrary: valueOf(schema) }, { weight: 1, arbitrary: anyValue })])),
      { requiredKeys: [] },
    );
    const payload = fc.oneof({ weight: 4, arbitrary: body.map((value) => JSON.stringify(value)) }, { weight: 1, arbitrary: fc.json() }, { weight: 1, arbitrary: anyText });
    const known = fc.constantFrom("orders", "wiki", "alert-1");
    return fc
      .record({ parts: fc.array(fc.oneof(known, anyText), { minLength: 2, maxLength: 2 }), query, strange, payload, key: anyHeader, sendsBody: fc.boolean() })
      .map((made) => {
        let next = 0;
        const place = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent((made.parts[next++] ?? "x").toWellFormed()));
        const search = new URLSearchParams(Object.entries({ ...made.query, ...made.strange }).map(([name, value]): [string, string] => [name, String(value)]));
        const carries = method === "POST" || made.sendsBody;
        return {
          method,
          url: `${place}?${search.toString()}`,
          headers: { "idempotency-key": made.key, ...(carries ? { "content-type": "application/json" } : {}) },
          payload: carries ? made.payload : null,
        };
      });
  });
}

/** Sends so many requests. None may end in an error of ours, and no answer may hold what it should not. */
export async function fuzzApi(requests: number): Promise<{ statuses: ReadonlyMap<number, number> }> {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  raiseAlert(fixture);
  const token = fixture.token("admin");
  const { paths } = (await fixture.ask("/api/v1/openapi.json", token)).json<{ paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }>();
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(requestArbitrary(paths), async (request) => {
      const { status, text, headers } = await send(fixture, token, request);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      expect([status < 500, fixture.errors]).toEqual([true, []]);
      expect(text.includes(token) || text.includes(token.slice(16))).toBe(false);
      expect([headers["set-cookie"], headers["x-content-type-options"]]).toEqual([undefined, "nosniff"]);
      if (status >= 400) expect(headers["content-type"]).toBe("application/problem+json; charset=utf-8");
      // The queue would be full after a while, and rightly say so.
      fixture.history.catalog.run("delete from commands", {});
    }),
    { numRuns: requests },
  );
  return { statuses };
}

async function send(
  fixture: ApiFixture,
  token: string,
  { method, url, headers, payload }: Request,
): Promise<{ status: number; text: string; headers: Readonly<Record<string, unknown>> }> {
  const answer = await fixture.ask(url, token, { method: method as "GET", headers: { ...headers }, ...(payload === null ? {} : { payload }) });
  return { status: answer.statusCode, text: answer.body + JSON.stringify(answer.headers), headers: answer.headers };
}
