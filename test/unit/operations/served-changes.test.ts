import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { openApp } from "../../../src/app.ts";
import type { App } from "../../../src/app.ts";
import { currentPause } from "../../../src/catalog/pauses.ts";
import { openServedApi } from "../../../src/cli/serve-api.ts";
import { systemClock } from "../../../src/clock.ts";
import type { Role, Scope } from "../../../src/domain/access.ts";
import { addToken } from "../../../src/operations/tokens.ts";
import { createRepository } from "../../../src/repository/create-repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../src/storage/local-store.ts";
import { configurationFolder } from "../policy/configuration-folder.ts";

/** The API as `serve` puts it together, with the verbs of the command line behind it, on a real repository and evidence log. */
const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";
const policy = (retention: string): string =>
  `version: 1\nname: p\nchanges: { approval: required, reason: disks are full }\nobjectives: { rto: 1h, rpo: 2h }\nbackups:\n  full: { schedule: { every: 1h }, retention: ${retention}, repositories: [onsite] }\n`;

interface Site extends AsyncDisposable {
  write(text: string): Promise<void>;
  open(): Promise<App>;
}

async function openSite(): Promise<Site> {
  const folder = await configurationFolder({ key: PASSPHRASE, "policies/p.yaml": policy("30d"), "holdfast.yaml": "" });
  const repository = `{ url: "file://${folder.path}/onsite", encryption: { passphrase: "file:${folder.path}/key" } }`;
  await writeFile(folder.inventory, `version: 1\nrepositories: { onsite: ${repository} }\nsources:\n  db: { connection: env:NOT_SET, policy: p }\n`);
  await prepareLocalStore(join(folder.path, "onsite"));
  await createRepository({ name: "onsite", store: openLocalStore(join(folder.path, "onsite")), passphrase: PASSPHRASE, now: systemClock.now() });
  return {
    write: async (text) => writeFile(join(folder.path, "policies/p.yaml"), text),
    open: async () => openApp({ config: folder.inventory, clock: systemClock, onNotice: () => undefined }),
    [Symbol.asyncDispose]: async () => folder[Symbol.asyncDispose](),
  };
}

type Post = (path: string, token: string, payload: object) => Promise<{ status: number; location: unknown; body: Record<string, unknown> }>;

async function serve(app: App): Promise<{ post: Post; close: () => Promise<void> }> {
  const api = await openServedApi(app, { tls: null, isSchedulerRunning: () => true, log: pino({ level: "silent" }) });
  return {
    post: async (path, token, payload) => {
      const headers = { authorization: `Bearer ${token}`, "idempotency-key": "once" };
      const { statusCode, headers: head, body } = await api.inject({ method: "POST", url: `/api/v1/${path}`, headers, payload });
      return { status: statusCode, location: head["location"], body: JSON.parse(body) as Record<string, unknown> };
    },
    close: () => api.close(),
  };
}

async function tokenFor(app: App, name: string, role: Role, scope: Scope = null): Promise<string> {
  return (await addToken(app.journal, { role, name, scope, expiresAfterSeconds: null, by: "test" })).token;
}

/** What is on record of the use of the API and of what it changed, in order. */
async function record(app: App): Promise<string[]> {
  const lines: string[] = [];
  for await (const { kind, facts } of app.journal.evidence.entriesFrom(1)) {
    const by = typeof facts["by"] === "string" ? facts["by"] : "nobody";
    if (/^(?:access\.used|source\.paused|policy\.approved)$/.test(kind)) lines.push([kind, ...(typeof facts["action"] === "string" ? [facts["action"]] : []), by].join(" "));
  }
  return lines;
}

test("a pause over the API is the pause of the command line: on record with who asked, in force at once and after a restart, and asked for twice it is one", async () => {
  await using site = await openSite();
  const until = new Date(Date.now() + 3_600_000).toISOString();
  {
    await using app = await site.open();
    const { post, close } = await serve(app);
    const ann = await tokenFor(app, "ann", "operator");
    const answer = await post("sources/db/pause", ann, { reason: "storage is being moved", until });
    expect(answer).toMatchObject({ status: 202, location: "/api/v1/status?source=db", body: { source: "db", until, reason: "storage is being moved", pausedBy: "ann" } });
    expect(await post("sources/db/pause", ann, { reason: "storage is being moved", until })).toEqual(answer);
    for (const [payload, status] of [
      [{ reason: " ", until }, 400],
      [{ reason: "x", until: new Date(Date.now() - 1000).toISOString() }, 400],
      [{ reason: "x", until: new Date(Date.now() + 100 * 86_400_000).toISOString() }, 400],
    ] as const)
      expect([payload, (await post("sources/db/pause", ann, payload)).status]).toEqual([payload, status]);
    expect((await post("sources/db/pause", await tokenFor(app, "eve", "viewer"), { reason: "x", until })).status).toBe(403);
    await close();
    expect((await record(app)).slice(0, 2)).toEqual(["access.used pause.request ann", "source.paused ann"]);
    expect((await record(app)).filter((line) => line.startsWith("source.paused"))).toHaveLength(1);
  }
  await using again = await site.open();
  expect(currentPause(again.catalog, "db", new Date())).toMatchObject({ until, pausedBy: "ann" });
});

test("a weakening that is approved over the API is in force with the next start, and by nobody who may not", async () => {
  await using site = await openSite();
  const days = (app: App): number => (app.inventory.sources.get("db")?.policy.backups.get("full")?.retention.keepForSeconds ?? 0) / 86_400;
  {
    await using first = await site.open();
    expect(days(first)).toBe(30);
  }
  await site.write(policy("7d"));
  {
    await using app = await site.open();
    expect(days(app)).toBe(30);
    const { post, close } = await serve(app);
    for (const token of [await tokenFor(app, "ann", "operator"), await tokenFor(app, "sue", "admin", ["db"])])
      expect((await post("policies/p/approve", token, {})).status).toBe(403);
    const bea = await tokenFor(app, "bea", "admin");
    expect((await post("policies/q/approve", bea, {})).status).toBe(404);
    expect(await post("policies/p/approve", bea, {})).toMatchObject({ status: 202, location: "/api/v1/policies", body: { policy: "p", approvedBy: "bea" } });
    expect((await post("policies/p/approve", bea, {})).status).toBe(404);
    await close();
    expect((await record(app)).filter((line) => line.startsWith("policy.approved"))).toEqual(["policy.approved bea"]);
  }
  await using after = await site.open();
  expect(days(after)).toBe(7);
});
