import { expect, test } from "vitest";
import { openGuardedApi } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded", accept: "text/html", origin: "http://localhost:8420", host: "localhost:8420", "sec-fetch-site": "same-origin" };
type Answer = Awaited<ReturnType<ApiFixture["ask"]>>;

async function post(fixture: ApiFixture, url: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
  return fixture.ask(url, null, { method: "POST", payload: new URLSearchParams(form).toString(), headers: { ...FORM, ...headers } });
}

test("a pasted token opens a session, which a form of ours ends", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("operator", { name: "ann" });
  const signedIn = await post(fixture, "/sign-in", { token: ` ${token}\n` });
  const [set = ""] = [signedIn.headers["set-cookie"]].flat();
  expect([signedIn.statusCode, signedIn.headers.location]).toEqual([303, "/"]);
  expect(set).toMatch(/^holdfast-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=28800$/);
  const [cookie = ""] = set.split(";");
  expect((await fixture.ask("/api/v1/sources", null, { headers: { cookie } })).statusCode).toBe(200);
  const csrf = String(fixture.history.catalog.all("select csrf from sessions")[0]?.["csrf"]);
  for (const [form, headers] of [
    [{}, {}],
    [{ csrf: "wrong" }, {}],
    [{ csrf }, { origin: "http://evil.example" }],
    [{ csrf }, { "sec-fetch-site": "cross-site" }],
  ] as const)
    expect((await post(fixture, "/sign-out", form, { cookie, ...headers })).statusCode).toBe(403);
  const signedOut = await post(fixture, "/sign-out", { csrf }, { cookie });
  expect([signedOut.statusCode, signedOut.headers.location, signedOut.headers["set-cookie"]]).toEqual([303, "/sign-in", expect.stringContaining("Max-Age=0")]);
  expect((await fixture.ask("/api/v1/sources", null, { headers: { cookie } })).statusCode).toBe(401);
  expect(fixture.access.map(({ kind, facts }) => [kind, facts["by"] ?? facts["why"]])).toEqual([
    ["access.signed-in", "ann"],
    ["access.refused", "ann"],
    ["access.signed-out", "ann"],
    ["access.refused", "session over"],
  ]);
  const kept = JSON.stringify([fixture.history.catalog.all("select * from sessions"), fixture.access]);
  expect(kept.includes(cookie.slice(17)) || kept.includes(token)).toBe(false);
});

test("a wrong token opens nothing, and is a failed sign-in on record", async () => {
  await using fixture = await openGuardedApi();
  const wrong = `hf_${"0".repeat(12)}_${"A".repeat(43)}`;
  const page = await post(fixture, "/sign-in", { token: wrong });
  expect([page.statusCode, page.headers.location, page.headers["set-cookie"]]).toEqual([303, "/sign-in?refused=1", undefined]);
  const script = await post(fixture, "/sign-in", { token: wrong }, { accept: "*/*" });
  expect([script.statusCode, script.headers["set-cookie"], script.body.includes(wrong)]).toEqual([401, undefined, false]);
  for (const form of [{}, { token: "x".repeat(300) }, { token: "a", more: "b" }]) expect((await post(fixture, "/sign-in", form as Record<string, string>)).statusCode).toBe(400);
  expect(fixture.access).toMatchObject([{ kind: "access.refused", facts: { why: "sign-in: unknown", routes: { "POST /sign-in": 1 } } }]);
});

test("another site cannot sign its visitor in", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("viewer");
  for (const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }, { origin: "null" }]) {
    const response = await post(fixture, "/sign-in", { token }, headers);
    expect([response.headers["set-cookie"], response.headers.location]).toEqual([undefined, "/sign-in?refused=1"]);
  }
});
