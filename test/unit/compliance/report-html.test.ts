import { formatSeconds } from "../../../src/domain/duration.ts";
import { expect, test } from "vitest";
import { html, Html } from "../../../src/compliance/html.ts";
import { buildReport } from "../../../src/compliance/report.ts";
import { renderReport } from "../../../src/compliance/report-html.ts";
import { share } from "../../../src/compliance/report-format.ts";
import type { ComplianceReport } from "../../../src/domain/compliance.ts";
import { eventfulDay, iso, loadTestInventory, openHistory, SNAPSHOT, VERIFY_FIGURES } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();

function report(history: History, more: Partial<Parameters<typeof buildReport>[0]> = {}): ComplianceReport {
  const [from, to, now] = [new Date(iso("2026-11-01 00:00")), new Date(iso("2026-11-02 00:00")), new Date(iso("2026-11-02 06:00"))];
  return buildReport({ catalog: history.catalog, inventory, from, to, now, sources: null, evidenceHead: null, ...more });
}

test("a template escapes every value, in text and in attributes, and markup of its own it keeps", () => {
  const hostile = `<img src=x onerror="alert('1')">&`;
  expect(html`<p title="${hostile}">${hostile}</p>`.toString()).toBe(
    `<p title="&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;">&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;</p>`,
  );
  expect(html`<b>${["<a>", 3].map((item) => html`<i>${item}</i>`)}</b>`.toString()).toBe("<b><i>&lt;a&gt;</i><i>3</i></b>");
  expect(html`${html`<b>kept</b>`}`).toBeInstanceOf(Html);
});

test("a name cannot hide what it is with control characters or by writing backwards", () => {
  expect(html`${"orders\u202Egnp.exe\u0000"}`.toString()).toBe("orders\uFFFDgnp.exe\uFFFD");
});

test("names, reasons and ids that hold markup are shown as text", async () => {
  await using history = await eventfulDay();
  const script = `<script>alert("x")</script>`;
  history.ran({ source: script, operation: script, type: script, at: "2026-11-01 08:00", outcome: "failed", reason: script });
  history.drilled("2026-11-01 09:00", { backupId: script, repository: script, target: script }, { source: script });
  history.observed({ source: script, repository: script, from: "2026-11-01 08:00", to: "2026-11-01 08:10", seconds: () => 9999 });
  history.seen("2026-11-01 23:00", {
    name: script,
    systemIdentifier: script,
    gaps: [{ repository: script, timeline: 1, startLsn: script, endLsn: script, firstSegment: script, lastSegment: script }],
  });
  const orders = inventory.sources.get("orders");
  if (orders === undefined) throw new Error("no orders");
  const hostile = { ...orders, name: script, policy: { ...orders.policy, name: script } };
  const page = renderReport(report(history, { inventory: { sources: new Map([[script, hostile]]) } }));
  expect(page).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;");
  expect(page).not.toMatch(/<script/i);
  expect(page.match(/<(img|iframe|object|link|base|form)\b/gi)).toBeNull();
});

test("the page needs nothing from elsewhere", async () => {
  await using history = await eventfulDay();
  const page = renderReport(report(history));
  expect(page).not.toMatch(/\s(?:src|href|action|on[a-z]+)\s*=|url\(|@import|https?:/i);
  expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"`);
  expect(page).toMatch(/light-dark\(#[\s\S]*@media print/);
});

test("every element that is opened is closed", async () => {
  await using history = await eventfulDay();
  const open: string[] = [];
  for (const [, slash, name, selfClosed] of renderReport(report(history))
    .replace(/<style>[\s\S]*?<\/style>/, "")
    .matchAll(/<(\/?)([a-z0-9]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (name === undefined || name === "meta" || selfClosed === "/") continue;
    if (slash === "/") expect(open.pop()).toBe(name);
    else open.push(name);
  }
  expect(open).toEqual([]);
});

/** Every exact figure on the page. */
function figuresOn(page: string): string[] {
  return [...page.matchAll(/<data[^>]* value="([^"]*)"/g)].map(([, value]) => value ?? "");
}

test("the page has the figures of the report, exactly", async () => {
  await using history = await eventfulDay();
  const whole = report(history);
  const page = renderReport(whole);
  const figures = new Set(figuresOn(page));
  const [orders] = whole.sources;
  const exact = [
    ...whole.sources.flatMap(({ recoveryTime }) => recoveryTime.actual.map(({ seconds }) => seconds)),
    ...whole.sources.flatMap(({ exposure }) => exposure.flatMap(({ worst, withinObjectiveShare, unobservedShare }) => [worst?.seconds, withinObjectiveShare, unobservedShare])),
    ...whole.sources.flatMap(({ backups }) => backups.flatMap(({ due, missed, succeeded }) => [due, missed, succeeded])),
    orders?.verification.runs[0]?.bytes,
    whole.findings.length,
    whole.population.runs.length,
  ];
  expect(exact.length).toBeGreaterThan(20);
  for (const figure of exact) if (figure !== null && figure !== undefined) expect(figures).toContain(String(figure));
  expect(page).toContain("6 min 52 s");
  expect(page.match(/<tr>/g)?.length).toBeGreaterThan(whole.population.runs.length + whole.controls.length);
});

test("every time on the page is a time of the report", async () => {
  await using history = await eventfulDay();
  const whole = report(history);
  const json = JSON.stringify(whole);
  const times = [...renderReport(whole).matchAll(/datetime="([^"]*)"/g)].map(([, at]) => at ?? "");
  expect(times.length).toBeGreaterThan(10);
  expect(times.filter((at) => !json.includes(JSON.stringify(at)))).toEqual([]);
});

test("what is unknown is called unknown, and a copy without samples has no drawing", async () => {
  await using history = await openHistory();
  const page = renderReport(report(history));
  expect(page).not.toMatch(/<svg/);
  expect(page).toContain("Exposure of this copy was not observed in the period.");
  expect(page).toContain("unknown: the repositories were never looked at");
  expect(page).not.toMatch(/NaN|undefined|null|Infinity|\[object/);
});

test("a drawing has a line only where something was seen", async () => {
  await using history = await openHistory();
  history.observed({ from: "2026-11-01 06:00", to: "2026-11-01 12:00", everySeconds: 30, seconds: () => 150 });
  const page = renderReport(report(history, { sources: ["orders"] }));
  const [, line = ""] = /class="line" d="([^"]*)"/.exec(page) ?? [];
  const [, unobserved = ""] = /class="unobserved" d="([^"]*)"/.exec(page) ?? [];
  // A quarter of the day, from a quarter of the width on; half the objective, which stands at five sixths of the height.
  expect(line).toMatch(/^M240 58\.33V58\.33H244/);
  expect(line).toMatch(/H484$/);
  expect(unobserved).toBe("M0 0H240V100H0ZM484 0H960V100H484Z");
});

test("a report never says that anybody complies", async () => {
  await using history = await eventfulDay();
  const words = renderReport(report(history)).replaceAll(/\s+/g, " ").replace("it does not state that anybody complies with them", "");
  expect(words).not.toMatch(/compliant|complies|certif/i);
});

test("lengths of time are rounded down to two units, and shares to the side that does not flatter", () => {
  expect([0, 2.25, 59.4, 60, 412.5, 3600, 86_400 * 2 + 7200].map(formatSeconds)).toEqual(["0 s", "2.3 s", "59 s", "1 min", "6 min 52 s", "1 h", "2 d 2 h"]);
  expect(share(0.99999, "down").toString()).toContain("99.99 %");
  expect(share(0.00001, "up").toString()).toContain("0.01 %");
  expect(share(1, "down").toString()).toContain("100.00 %");
  expect(share(null, "up").toString()).toContain("unknown");
});

test("damaged and unseen copies are named one by one, good ones counted", async () => {
  await using history = await openHistory();
  const [first] = SNAPSHOT.backups;
  if (first === undefined) throw new Error("no backup");
  history.seen("2026-11-01 23:00", { backups: [first, { ...first, id: "20261101T080000Z-incr" }, { ...first, id: "20261101T140000Z-incr" }] });
  const verified = (backup: string, repository: string, ok: boolean): { repository: string; source: string; backup: string; tier: string; ok: boolean } => ({
    repository,
    source: "orders",
    backup,
    tier: "decoded",
    ok,
  });
  history.ran({
    operation: "verify",
    at: "2026-11-01 15:00",
    outcome: "failed",
    figures: { ...VERIFY_FIGURES, ok: false },
    verified: [verified(first.id, "onsite", true), verified("20261101T080000Z-incr", "onsite", true), verified("20261101T080000Z-incr", "cloud", false)],
  });
  const page = renderReport(report(history, { sources: ["orders"] }));
  expect(page).toContain("2 backups");
  expect(page.match(/never verified<\/span>/g)).toHaveLength(3);
  expect(page).toMatch(/cloud<\/span><\/td><td[^>]*><span><code>20261101T080000Z-incr<\/code>/);
});
