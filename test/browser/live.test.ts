import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { saveProgress } from "../../src/catalog/run-progress.ts";
import { openHistory } from "../unit/compliance/recorded-history.ts";
import { noBrowser, openChromium } from "./chromium.ts";
import { openDashboardSite } from "./dashboard-site.ts";

/** A page that stays open while things happen: on the server, to the server, and to the session. */
const SERVER = join(import.meta.dirname, "live-server.ts");
const PATIENCE = { timeout: 30_000 };

interface Served {
  readonly address: string;
  readonly child: ChildProcess;
}

async function serve(catalogFile: string, port: number): Promise<Served> {
  const child = fork(SERVER, [catalogFile, String(port)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [address] = (await once(child, "message")) as [string];
  return { address, child };
}

async function kill({ child }: Served): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

describe.skipIf(noBrowser !== null)("an open page", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openChromium();
  });
  afterAll(async () => browser.close());

  test("shows what happens as it happens, and after its server was killed and began anew nothing is missing and it goes on", async () => {
    await using history = await openHistory();
    const file = String(history.catalog.all("pragma database_list")[0]?.["file"]);
    let served = await serve(file, 0);
    const port = Number(new URL(served.address).port);
    try {
      const page = await browser.newPage();
      const listening = page.waitForResponse(/\/api\/v1\/events/);
      await page.goto(`${served.address}/`);
      await listening;

      const run = history.began({ source: "orders", operation: "backup", type: "full", at: now() });
      await page.getByText("Going on now: 1 run").waitFor(PATIENCE);
      saveProgress(history.catalog, run, { at: now(), phase: "copy", doneBytes: 50 * 1024 ** 2, totalBytes: 200 * 1024 ** 2 });
      await page.getByText("copy: 50 MiB of 200 MiB").waitFor(PATIENCE);
      await page.locator("progress[aria-label='backup of orders']").waitFor();
      raise(history, "first", "orders is exposed");
      await page.getByText("New alert, P2: orders is exposed").waitFor(PATIENCE);
      await page.getByRole("link", { name: "Alerts 1 open" }).waitFor(PATIENCE);

      await kill(served);
      await page.getByText(/^No answer since/).waitFor(PATIENCE);
      history.entry("run.finished", now(), { run, source: "orders", operation: "backup", type: "full", outcome: "succeeded", figures: {} });
      raise(history, "second", "a gap in the WAL of billing");
      served = await serve(file, port);

      await page.getByText("New alert, P2: a gap in the WAL of billing").waitFor(PATIENCE);
      await page.getByRole("link", { name: "Alerts 2 open" }).waitFor(PATIENCE);
      expect(await page.getByText("Going on now").count()).toBe(0);
      expect(await page.getByText(/^No answer since/).count()).toBe(0);
      // And it is told again: news is never what a page found by looking now and then.
      raise(history, "third", "sessions is exposed");
      history.began({ source: "billing", operation: "drill", at: now() });
      await page.getByText("New alert, P2: sessions is exposed").waitFor(PATIENCE);
      await page.getByText("Going on now: 1 run").waitFor(PATIENCE);
      await page.close();
    } finally {
      await kill(served);
    }
  });

  test("says so when its session is over, and leads back to where it was", async () => {
    await using site = await openDashboardSite({ guarded: true });
    const context = await browser.newContext();
    const page = await context.newPage();
    const token = site.token("viewer");
    await page.goto(`${site.address}/runs?source=sessions`);
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENCE);
    site.history.entry("token.revoked", now(), { id: token.slice(3, 15) });
    await page.getByText("Your session is over").waitFor(PATIENCE);
    await page.getByRole("link", { name: "Sign in again" }).click();
    await page.getByLabel("Token").fill(site.token("viewer"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${site.address}/runs?source=sessions`);
    expect(site.errors).toEqual([]);
    await context.close();
  });
});

function raise(history: Awaited<ReturnType<typeof openHistory>>, id: string, title: string): void {
  history.entry("alert.raised", now(), { alert: id, key: id, kind: "exposure", severity: "P2", source: "orders", title, whatToDo: "look", since: now() });
}

function now(): string {
  return new Date().toISOString();
}
