import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OidcSignIn } from "../../../src/access/oidc.ts";
import { systemClock } from "../../../src/clock.ts";
import type { Role } from "../../../src/domain/access.ts";
import { freePort } from "../../support/postmaster.ts";
import { openGuardedApi } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

/** A certified sign-in service, run here, with its own pages for signing in and consenting; and a browser that keeps cookies and follows where it is sent. */
const GROUPS: Readonly<Record<string, readonly string[]>> = { ann: ["staff", "dba"], kim: ["audit"], eve: ["staff"], nil: [] };
const SECRET = "a-secret-of-the-client-that-nobody-sees";

let issuer: string;
let apiPort: number;
const service = createServer();

beforeAll(async () => {
  apiPort = await freePort();
  await new Promise<void>((resolve) => {
    service.listen(0, "127.0.0.1", resolve);
  });
  issuer = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      { client_id: "holdfast", client_secret: SECRET, redirect_uris: [`http://127.0.0.1:${apiPort}/sign-in/oidc/callback`], token_endpoint_auth_method: "client_secret_post" },
    ],
    scopes: ["openid", "email", "groups"],
    claims: { openid: ["sub"], email: ["email"], groups: ["groups"] },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, groups: [...(GROUPS[id] ?? [])] }) }),
    cookies: { keys: ["only for this test"] },
  });
  const answer = provider.callback();
  service.on("request", (request, response) => void answer(request, response));
});

afterAll(() => void service.close());

async function openSite(): Promise<ApiFixture> {
  const groups = new Map<string, Role>([
    ["dba", "operator"],
    ["audit", "auditor"],
    ["root", "admin"],
  ]);
  const oidc = new OidcSignIn({ issuer, clientId: "holdfast", clientSecret: SECRET, scope: "openid email groups", groupsClaim: "groups", groups }, systemClock);
  const fixture = await openGuardedApi({ oidc });
  await fixture.api.listen({ host: "127.0.0.1", port: apiPort });
  return fixture;
}

class Browser {
  readonly #cookies = new Map<string, string>();
  readonly visited: string[] = [];

  async go(url: string, form: Record<string, string> | null = null): Promise<{ url: string; status: number; body: string }> {
    const at = new URL(url);
    const cookies = [...this.#cookies].filter(([key]) => key.startsWith(`${at.port} `)).map(([key, value]) => `${key.split(" ")[1]}=${value}`);
    const answer = await fetch(url, {
      redirect: "manual",
      headers: { cookie: cookies.join("; "), accept: "text/html" },
      ...(form === null ? {} : { method: "POST", body: new URLSearchParams(form) }),
    });
    this.visited.push(`${form === null ? "GET" : "POST"} ${at.pathname}`);
    for (const set of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (value === "") this.#cookies.delete(`${at.port} ${name}`);
      else this.#cookies.set(`${at.port} ${name}`, value);
    }
    const location = answer.headers.get("location");
    if (location === null || ["/", "/alerts"].includes(new URL(location, url).pathname))
      return { url: location === null ? url : new URL(location, url).href, status: answer.status, body: await answer.text() };
    return this.go(new URL(location, url).href);
  }

  cookie(name: string): string | undefined {
    return this.#cookies.get(`${apiPort} ${name}`);
  }

  /** Signs in at the service, up to where it sends the browser in the end. */
  async signIn(login: string, next = "/"): Promise<{ url: string; status: number }> {
    const start = await this.go(`http://127.0.0.1:${apiPort}/sign-in/oidc?${new URLSearchParams({ next }).toString()}`);
    const asked = await this.go(start.url, { prompt: "login", login, password: "anything" });
    return asked.body.includes('value="consent"') ? this.go(asked.url, { prompt: "consent" }) : asked;
  }
}

test("people sign in with the service, and may do what their groups may", { timeout: 20_000 }, async () => {
  await using fixture = await openSite();
  for (const [login, role, next, comesTo] of [
    ["ann", "operator", "/alerts?state=open", "/alerts?state=open"],
    ["kim", "auditor", "//evil.example/alerts", "/"],
  ] as const) {
    const browser = new Browser();
    const end = await browser.signIn(login, next);
    expect([login, end.url, end.status]).toEqual([login, `http://127.0.0.1:${apiPort}${comesTo}`, 303]);
    const cookie = `holdfast-session=${browser.cookie("holdfast-session")}`;
    expect((await fixture.ask("/api/v1/status", null, { headers: { cookie } })).statusCode).toBe(200);
    expect((await fixture.ask("/api/v1/audit", null, { headers: { cookie } })).statusCode).toBe(role === "auditor" ? 200 : 403);
    expect(browser.cookie("holdfast-sign-in")).toBeUndefined();
  }
  expect(fixture.access.filter(({ kind }) => kind === "access.signed-in")).toMatchObject([
    { facts: { by: "ann@example.com", id: "ann", role: "operator" } },
    { facts: { by: "kim@example.com", id: "kim", role: "auditor" } },
  ]);
  const kept = JSON.stringify([fixture.access, fixture.history.catalog.all("select * from sessions")]);
  expect(kept).not.toContain(SECRET);
});

test("whoever is in no group that may, has no session", { timeout: 20_000 }, async () => {
  await using fixture = await openSite();
  for (const login of ["eve", "nil"]) {
    const browser = new Browser();
    const end = await browser.signIn(login);
    expect([new URL(end.url).pathname + new URL(end.url).search, browser.cookie("holdfast-session")]).toEqual(["/sign-in?refused=2", undefined]);
  }
  expect(fixture.access.map(({ facts }) => facts["why"])).toEqual(["sign-in: of no group that may"]);
});

test("an answer that was not asked for, of another browser, or used before, opens nothing", { timeout: 20_000 }, async () => {
  await using fixture = await openSite();
  const begun = await fixture.ask("/sign-in/oidc", null, { headers: { host: `127.0.0.1:${apiPort}` } });
  const url = new URL(String(begun.headers.location));
  expect(Object.fromEntries(url.searchParams)).toMatchObject({ response_type: "code", code_challenge_method: "S256", client_id: "holdfast" });
  expect(begun.headers["set-cookie"]).toMatch(/^holdfast-sign-in=[\w-]+; Path=\/sign-in; HttpOnly; SameSite=Lax; Max-Age=600$/);
  const state = url.searchParams.get("state") ?? "";
  const finish = async (query: string, cookie: string): Promise<unknown> => {
    const answer = await fixture.ask(`/sign-in/oidc/callback?${query}`, null, { headers: { cookie, host: `127.0.0.1:${apiPort}` } });
    const cookies = [answer.headers["set-cookie"]].flat().join();
    return [answer.statusCode, answer.headers.location, cookies.includes("holdfast-session")];
  };
  const refused = [303, "/sign-in?refused=2", false];
  expect(await finish(`code=x&state=${state}`, "")).toEqual(refused);
  expect(await finish(`code=x&state=${state}`, "holdfast-sign-in=other")).toEqual(refused);
  expect(await finish("code=x&state=other", "holdfast-sign-in=other")).toEqual(refused);
  expect(await finish("", "")).toEqual(refused);
  // Of this browser, and made up; and then the same once more.
  expect(await finish(`code=x&state=${state}&iss=${encodeURIComponent(issuer)}`, `holdfast-sign-in=${state}`)).toEqual(refused);
  expect(await finish(`code=x&state=${state}`, `holdfast-sign-in=${state}`)).toEqual(refused);
  expect(fixture.access.map(({ facts }) => facts["why"])).toEqual(["sign-in: not begun here", "sign-in: the service did not confirm it"]);
});
