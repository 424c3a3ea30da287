import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { appendEvent } from "../../../src/catalog/events.ts";
import { saveProgress } from "../../../src/catalog/run-progress.ts";
import { createApi } from "../../../src/api/server.ts";
import { fillWeek, openGuardedApi } from "./api-fixture.ts";
import type { ApiFixture } from "./api-fixture.ts";

interface Told {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Listens as a browser would. */
async function listen(
  base: string,
  token: string,
  lastEventId: string | null = null,
): Promise<{ told: Told[]; place: string[]; text: () => string; stop: () => void; ended: Promise<void> }> {
  const stopping = new AbortController();
  const answer = await fetch(`${base}/api/v1/events`, {
    headers: { authorization: `Bearer ${token}`, ...(lastEventId === null ? {} : { "last-event-id": lastEventId }) },
    signal: stopping.signal,
  });
  expect([answer.status, answer.headers.get("content-type"), answer.headers.get("cache-control")]).toEqual([200, "text/event-stream; charset=utf-8", "no-store"]);
  const told: Told[] = [];
  const place: string[] = [];
  let [text, rest] = ["", ""];
  const read = async (): Promise<void> => {
    for await (const chunk of answer.body ?? []) {
      const piece = Buffer.from(chunk).toString();
      text += piece;
      rest += piece;
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
        if (field("event") === "ready") place.push(field("id") ?? "");
        else if (field("event") !== undefined)
          told.push({ id: field("id") ?? "", event: field("event") ?? "", data: JSON.parse(field("data") ?? "{}") as Record<string, unknown> });
      }
    }
  };
  return { told, place, text: () => text, stop: () => stopping.abort(), ended: read().catch(() => undefined) };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await sleep(25);
  expect(condition()).toBe(true);
}

async function serve(fixture: ApiFixture): Promise<string> {
  await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  return `http://127.0.0.1:${(fixture.api.server.address() as AddressInfo).port}`;
}

test("runs, alerts and exposure are told as they happen, and only of sources that the token sees", async () => {
  await using fixture = await openGuardedApi();
  fillWeek(fixture.history);
  const base = await serve(fixture);
  const [all, web] = [await listen(base, fixture.token("viewer")), await listen(base, fixture.token("viewer", { scope: ["wiki"], name: "web" }))];
  const run = fixture.history.ran({ operation: "backup", type: "full", at: "2026-11-08 11:00" });
  fixture.history.entry("alert.raised", "2026-11-08 11:01", {
    alert: "a1",
    severity: "P2",
    title: "orders is exposed",
    source: "orders",
    kind: "exposure",
    whatToDo: "look",
    since: "x",
  });
  appendEvent(fixture.history.catalog, { at: "2026-11-08T11:02:00.000Z", kind: "exposure.changed", source: "wiki", data: { repository: "onsite", state: "breached" } });
  await until(() => all.told.length >= 4 && web.told.length > 0);
  expect(all.told.map(({ event, data }) => [event, data["source"]])).toEqual([
    ["run.started", "orders"],
    ["run.finished", "orders"],
    ["alert.raised", "orders"],
    ["exposure.changed", "wiki"],
  ]);
  expect(all.told[1]?.data).toEqual({
    at: "2026-11-08T11:01:00.000Z",
    source: "orders",
    run,
    operation: "backup",
    type: "full",
    outcome: "succeeded",
    reason: null,
    event: "run.finished",
  });
  expect(web.told.map(({ event }) => event)).toEqual(["exposure.changed"]);
  expect(web.text()).not.toContain("orders");
  for (const client of [all, web]) client.stop();
});

test("whoever comes back misses nothing, also across a restart of the server", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("viewer");
  const base = await serve(fixture);
  const [first, early] = [await listen(base, token), await listen(base, token)];
  await until(() => early.place.length === 1);
  const nothingYet = early.place[0] ?? "";
  early.stop();
  fixture.history.began({ operation: "backup", at: "2026-11-08 11:00" });
  await until(() => first.told.length === 1);
  const last = first.told[0]?.id ?? "";
  await fixture.api.close();
  await first.ended;
  for (let i = 1; i <= 5; i++) fixture.history.began({ operation: "drill", at: `2026-11-08 11:0${i}` });
  const again = await createApi({ ...fixture.options });
  try {
    await again.listen({ host: "127.0.0.1", port: 0 });
    const second = await listen(`http://127.0.0.1:${(again.server.address() as AddressInfo).port}`, token, last);
    await until(() => second.told.length >= 5);
    expect(second.told.map(({ event, data }) => [event, data["operation"]])).toEqual(Array.from({ length: 5 }, () => ["run.started", "drill"]));
    second.stop();
    const third = await listen(`http://127.0.0.1:${(again.server.address() as AddressInfo).port}`, token, nothingYet);
    await until(() => third.told.length >= 6);
    third.stop();
    const asked = await fetch(`http://127.0.0.1:${(again.server.address() as AddressInfo).port}/api/v1/events?after=${last}`, { headers: { authorization: `Bearer ${token}` } });
    for await (const chunk of asked.body ?? []) {
      expect(Buffer.from(chunk).toString()).toContain(`event: ready\nid: ${last}\n`);
      break;
    }
    for (const strange of ["00000000-1", "nonsense", last.replace(/\d+$/, "999999")]) {
      const lost = await listen(`http://127.0.0.1:${(again.server.address() as AddressInfo).port}`, token, strange);
      await until(() => lost.told.length > 0);
      expect(lost.told).toEqual([{ id: expect.stringMatching(/^[0-9a-f]{8}-6$/) as string, event: "reset", data: {} }]);
      lost.stop();
    }
  } finally {
    await again.close();
  }
});

test("how far a run has come is told while it goes on, once for each word of it, and with the run itself", async () => {
  await using fixture = await openGuardedApi();
  const { catalog } = fixture.history;
  const [token, web] = [fixture.token("viewer"), fixture.token("viewer", { scope: ["wiki"], name: "web" })];
  const base = await serve(fixture);
  const [all, other] = [await listen(base, token), await listen(base, web)];
  const run = fixture.history.began({ operation: "backup", type: "full", at: "2026-11-08 11:00" });
  const progress = { at: "2026-11-08T11:00:05.000Z", phase: "copy", doneBytes: 4096, totalBytes: null };
  saveProgress(catalog, run, progress);
  saveProgress(catalog, "nobody", progress);
  await until(() => all.told.length === 2);
  expect(all.told[1]).toEqual({ id: "", event: "run.progress", data: { event: "run.progress", run, source: "orders", operation: "backup", type: "full", ...progress } });
  expect((await fixture.ask(`/api/v1/runs/${run}`, token)).json()).toMatchObject({ outcome: "running", progress });
  await sleep(1200);
  fixture.history.entry("run.finished", "2026-11-08 11:01", { run, source: "orders", operation: "backup", type: "full", outcome: "succeeded", figures: {} });
  saveProgress(catalog, run, { ...progress, at: "2026-11-08T11:02:00.000Z" });
  await until(() => all.told.length === 3);
  expect([all.told[2]?.event, other.told]).toEqual(["run.finished", []]);
  expect((await fixture.ask(`/api/v1/runs/${run}`, token)).json()).toMatchObject({ outcome: "succeeded", progress: null });
  expect(catalog.all("select * from run_progress")).toEqual([]);
  for (const client of [all, other]) client.stop();
});

test("a stream ends when its token is revoked, and not before", async () => {
  await using fixture = await openGuardedApi();
  const token = fixture.token("viewer");
  const base = await serve(fixture);
  const client = await listen(base, token);
  fixture.history.began({ operation: "backup", at: "2026-11-08 11:00" });
  await until(() => client.told.length === 1);
  fixture.history.entry("token.revoked", "2026-11-08 11:00", { id: token.slice(3, 15) });
  fixture.history.began({ operation: "backup", at: "2026-11-08 11:01" });
  await client.ended;
  expect(client.told).toHaveLength(1);
});
