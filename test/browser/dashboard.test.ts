import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NOT_RUN } from "../support/not-run.ts";
import { noBrowser, openChromium } from "./chromium.ts";
import { HOSTILE } from "./dashboard-history.ts";
import { openDashboardSite } from "./dashboard-site.ts";
import type { DashboardSite } from "./dashboard-site.ts";

/** Every page, as people have it before them: light, dark, on a phone, on paper; by keyboard; through an outage. In a real browser, on the real server. */
const PAGES = ["overview", "source", "unseen", "backup", "drill", "run", "runs", "drills", "policies", "storage", "report", "audit", "alerts", "sign-in", "missing"] as const;
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 740 };

describe.skipIf(noBrowser !== null)("the dashboard in a browser", () => {
  let browser: Browser;
  let site: DashboardSite;
  let paths: Readonly<Record<(typeof PAGES)[number], string>>;

  beforeAll(async () => {
    site = await openDashboardSite();
    browser = await openChromium();
    paths = await everyPage(site.address);
  });
  afterAll(async () => {
    await browser.close();
    await site[Symbol.asyncDispose]();
  });

  async function open(options: Parameters<Browser["newContext"]>[0], path: string): Promise<{ context: BrowserContext; page: Page; complaints: string[] }> {
    const context = await browser.newContext({ viewport: DESKTOP, ...options });
    const page = await context.newPage();
    const complaints: string[] = [];
    // That a page is not there is the answer of one of them.
    page.on("console", (message) => void (message.text().includes("404") ? 0 : complaints.push(message.text())));
    page.on("pageerror", (error) => void complaints.push(String(error)));
    await page.goto(site.address + path);
    return { context, page, complaints };
  }

  test.each(PAGES)("the page %s has no serious fault that axe finds, in dark no contrast too low either, and nothing is refused by its own policy", async (name) => {
    const { context, page, complaints } = await open({ colorScheme: "light" }, paths[name]);
    expect(await seriousFaults(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await seriousFaults(page, ["color-contrast"])).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });

  test("fits the width of a phone on every page, and has no serious fault there either", async () => {
    const { context, page, complaints } = await open({ viewport: PHONE, isMobile: true, hasTouch: true }, "/");
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(site.address + path);
      expect([name, await page.evaluate("document.documentElement.scrollWidth <= innerWidth")]).toEqual([name, true]);
      if (name === "overview") expect([name, await seriousFaults(page)]).toEqual([name, []]);
    }
    expect(complaints).toEqual([]);
    await context.close();
  });

  test("prints black on white, without what cannot be clicked on paper", async () => {
    const { context, page } = await open({ colorScheme: "dark" }, "/");
    for (const path of Object.values(paths)) {
      await page.goto(site.address + path);
      await page.emulateMedia({ media: "print" });
      expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(255, 255, 255)");
      expect(await page.locator("nav[aria-label=Main]").isVisible()).toBe(false);
      await page.emulateMedia({ media: "screen" });
    }
    expect((await page.pdf({ format: "A4" })).subarray(0, 5).toString()).toBe("%PDF-");
    await context.close();
  });

  test("what others wrote is text, wherever it is shown", async () => {
    const { context, page } = await open({}, `/runs?source=billing`);
    await page.getByText(HOSTILE).first().waitFor();
    await page.goto(`${site.address}/runs?source=${encodeURIComponent(HOSTILE)}`);
    expect([await page.title(), await page.locator("img").count(), await page.locator("input[name=source]").inputValue()]).toEqual(["Runs · Holdfast", 0, HOSTILE]);
    await context.close();
  });

  test("can be walked by keyboard: past the navigation, along the links, into the worst source", async () => {
    const { context, page } = await open({}, "/");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("content");
    await page.getByRole("link", { name: "billing" }).last().focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: /billing/ }).waitFor();
    await context.close();
  });

  test("a theme that was chosen stays chosen", async () => {
    const { context, page } = await open({ colorScheme: "light" }, "/");
    const background = (): Promise<unknown> => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const light = await background();
    await page.getByRole("button", { name: "Theme: auto" }).click();
    await page.getByRole("button", { name: "Theme: light" }).click();
    const dark = await background();
    expect(dark).not.toBe(light);
    await page.goto(`${site.address}/runs`);
    expect([await background(), await page.getByRole("button", { name: "Theme: dark" }).isVisible()]).toEqual([dark, true]);
    await context.close();
  });

  test("where nothing has been proven yet, three steps lead to a database that can be recovered", async () => {
    await using fresh = await openDashboardSite({ fill: () => undefined });
    const { context, page } = await open({}, "/");
    await page.goto(fresh.address);
    const steps = page.getByRole("region", { name: "Three steps to a database that can be recovered" }).getByRole("listitem");
    expect(await steps.allInnerTexts()).toEqual([
      expect.stringMatching(/^Say what to protect.*done/s),
      expect.stringMatching(/holdfast backup \S+ --type full/),
      expect.stringMatching(/holdfast drill \S+$/),
    ]);
    expect(await seriousFaults(page)).toEqual([]);
    await context.close();
  });

  test("every page is complete without a script", async () => {
    const { context, page } = await open({ javaScriptEnabled: false }, "/sources/billing");
    expect(await page.locator("svg.chart").count()).toBeGreaterThan(2);
    await page.goto(`${site.address}/?q=team%3Dpayments&state=breached`);
    expect(await page.locator(".sources tbody tr").count()).toBe(1);
    await context.close();
  });

  test("a view whose server goes away says so, and recovers by itself when it is back", async () => {
    const { context, page } = await open({}, "/runs?source=sessions");
    await page.locator("td").getByText("running").waitFor();
    await site.stop();
    await page.getByText(/^No answer since/).waitFor({ timeout: 15_000 });
    site.history.ran({ source: "sessions", operation: "expire", at: new Date().toISOString(), seconds: 1, outcome: "failed", reason: "while you were away" });
    await site.start();
    await page.getByText("while you were away").waitFor({ timeout: 15_000 });
    await page.getByText("Connected again.").waitFor();
    await context.close();
  });

  test("the report can be taken along: as PDF, page, JSON, and each of its tables", async () => {
    const { context, page } = await open({}, "/report?source=orders");
    for (const [name, beginning] of [
      ["PDF", "%PDF-"],
      ["a page", "<!doctype html>"],
      ["JSON", "{"],
      ["runs", "id,source,operation"],
    ] as const) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).first().click()]);
      const text = readFileSync(await download.path(), "latin1");
      expect([name, text.slice(0, beginning.length)]).toEqual([name, beginning]);
      expect(download.suggestedFilename()).toMatch(/^holdfast-report-\d{4}-\d{2}-\d{2}(?:-runs)?\.(?:pdf|html|json|csv)$/);
    }
    for (const strange of ["format=exe", "format=csv&table=passwords"]) expect((await fetch(`${site.address}/report/download?${strange}`)).status).toBe(404);
    await context.close();
  });

  test("no page was a failure of ours", () => {
    expect(site.errors).toEqual([]);
  });
});

/** As what somebody who signs in by the form sees, and what the form looks like. */
describe.skipIf(noBrowser !== null)("whoever has to sign in", () => {
  let browser: Browser;
  let site: DashboardSite;
  beforeAll(async () => {
    site = await openDashboardSite({ guarded: true, service: true });
    browser = await openChromium();
  });
  afterAll(async () => {
    await browser.close();
    await site[Symbol.asyncDispose]();
  });

  async function signIn(token: string, path = "/"): Promise<{ context: BrowserContext; page: Page }> {
    const context = await browser.newContext({ viewport: DESKTOP });
    const page = await context.newPage();
    await page.goto(site.address + path);
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    return { context, page };
  }

  test("comes to where they wanted to go, is named there, and out again", async () => {
    const { context, page } = await signIn(site.token("operator"), "/sources/billing?period=7d");
    await page.getByRole("heading", { level: 1, name: /billing/ }).waitFor();
    expect(page.url()).toBe(`${site.address}/sources/billing?period=7d`);
    await page.getByText("kim the operator").waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await page.getByRole("button", { name: "Sign out" }).press("Enter");
    await page.getByRole("heading", { name: "Sign in", level: 1 }).waitFor();
    await page.goto(`${site.address}/sources/billing`);
    await page.getByRole("heading", { name: "Sign in", level: 1 }).waitFor();
    await context.close();
  });

  test("is offered the organisation's account, told of a wrong token, and led nowhere else", async () => {
    const { context, page } = await signIn("hf_wrong", "/alerts");
    await page.getByRole("alert").getByText("That token does not open anything here.").waitFor();
    expect(await page.getByRole("link", { name: "Sign in with your organisation’s account" }).getAttribute("href")).toBe("/sign-in/oidc?next=%2Falerts");
    expect([await seriousFaults(page), await page.getByRole("navigation").count()]).toEqual([[], 0]);
    await page.goto(`${site.address}/sign-in?next=${encodeURIComponent("//evil.example/x")}`);
    await page.getByLabel("Token").fill(site.token("viewer"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${site.address}/`);
    await context.close();
  });

  test("is told what a role may not do, and by whom it is given, and can sign out", async () => {
    const viewer = await signIn(site.token("viewer"));
    await viewer.page.getByRole("link", { name: "Report" }).waitFor();
    expect(await viewer.page.getByRole("link", { name: "Audit" }).count()).toBe(0);
    const answer = await viewer.page.goto(`${site.address}/audit`);
    expect(answer?.status()).toBe(403);
    await viewer.page.getByText("The audit log is for auditors and administrators.").waitFor();
    await viewer.context.close();
    const metrics = await signIn(site.token("metrics"));
    await metrics.page.getByText("That role may not open this page, nor any other here.").waitFor();
    expect(await seriousFaults(metrics.page)).toEqual([]);
    await metrics.page.getByRole("button", { name: "Sign out" }).click();
    await metrics.page.getByLabel("Token").waitFor();
    await metrics.context.close();
  });

  test("sees that there is nothing for them, where nothing is in what they may see", async () => {
    const { context, page } = await signIn(site.token("viewer", ["team=nobody"]));
    await page.getByRole("heading", { name: "Nothing that you may see" }).waitFor();
    expect(await page.getByText("Three steps").count()).toBe(0);
    await context.close();
  });

  test("no page was a failure of ours", () => {
    expect(site.errors).toEqual([]);
  });
});

if (noBrowser !== null) test.skip(`${NOT_RUN}${noBrowser}`);

async function seriousFaults(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  const axe = new AxeBuilder({ page }).setLegacyMode(true).options({ resultTypes: ["violations"] });
  const { violations } = await (rules === null ? axe : axe.withRules([...rules])).analyze();
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical").flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** One of each kind of page. What has an id is found by its link, as a reader would. */
async function everyPage(address: string): Promise<Record<(typeof PAGES)[number], string>> {
  const linkIn = async (path: string, pattern: RegExp): Promise<string> => {
    const found = pattern.exec(await (await fetch(address + path)).text())?.[1];
    if (found === undefined) throw new Error(`${path} has no link ${String(pattern)}`);
    return found;
  };
  return {
    overview: "/",
    source: "/sources/billing",
    unseen: "/sources/wiki",
    backup: await linkIn("/sources/orders", /href="(\/sources\/orders\/backups\/[^"]+)"/),
    drill: await linkIn("/drills", /href="(\/runs\/[^"]+)"/),
    run: await linkIn("/runs?operation=backup", /href="(\/runs\/[^"]+)"/),
    runs: "/runs",
    drills: "/drills",
    policies: "/policies",
    storage: "/storage",
    report: "/report?source=wiki",
    audit: "/audit",
    alerts: "/alerts",
    "sign-in": "/sign-in",
    missing: "/sources/nobody",
  };
}
