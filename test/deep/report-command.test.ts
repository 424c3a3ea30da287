import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import { pageOfEntries } from "../../src/catalog/entries.ts";
import type { RecordedEntry } from "../../src/catalog/entries.ts";
import { recordExposure } from "../../src/catalog/observations.ts";
import { RESTATED } from "../../src/catalog/restatements.ts";
import { systemClock } from "../../src/clock.ts";
import type { ComplianceReport, CopyExposure } from "../../src/domain/compliance.ts";
import { recordEntry } from "../../src/operations/record-run.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

const RULE = "retention: { keepLast: 9 }, repositories: [onsite]";
const POLICY = `objectives: { rpo: 1d, rto: 1h }
backups:
  full: { schedule: { every: 7d }, ${RULE} }
  incremental: { schedule: { every: 1d }, ${RULE} }
`;
const HOUR_MS = 3_600_000;
const SAMPLE_MS = 5000;

describe("the report and the export, as commands", () => {
  let site: Site;
  let held: AsyncDisposableStack;
  const from = new Date(Date.now() - HOUR_MS);
  /** After the first backup, and before the gap was found and the second backup taken. */
  let known: Date;

  beforeAll(async () => {
    await using resources = new AsyncDisposableStack();
    const tree = join(resources.use(await openScratchFolder()).path, "tree");
    await mkdir(tree);
    await writeFile(join(tree, "one"), "1");
    const nowhere = { url: () => "postgres://nobody@127.0.0.1:1/nothing", dataDirectory: "/nowhere", binaries: { directory: "/nowhere" } };
    site = resources.use(
      await openSite({
        cluster: nowhere as unknown as Parameters<typeof openSite>[0]["cluster"],
        inventoryExtra: [`  uploads: { kind: files, path: "${tree}", policy: tree }`],
        policies: { tree: POLICY },
      }),
    );
    expect(await site.run("backup", "uploads", "--type", "full")).toMatchObject({ exitCode: 0 });
    await inApp(async ({ catalog }) => {
      for (let ms = from.getTime(); ms < Date.now(); ms += SAMPLE_MS)
        recordExposure(catalog, { source: "db", repository: "onsite", at: new Date(ms).toISOString(), seconds: 1, bytes: 4096 });
    });
    known = new Date();
    await delay(1100);
    const gap = { repository: "onsite", timeline: 1, startLsn: "0/5000000", endLsn: "0/6000000" };
    const restated = {
      from: new Date(from.getTime() + HOUR_MS / 4).toISOString(),
      until: new Date(from.getTime() + HOUR_MS / 2).toISOString(),
      reason: "WAL that was thought to be there is missing",
    };
    await inApp(async ({ journal }) => recordEntry(journal, RESTATED, { source: "db", ...gap, ...restated }));
    expect(await site.run("backup", "uploads", "--type", "incr")).toMatchObject({ exitCode: 0 });
    held = resources.move();
  });

  afterAll(async () => held.disposeAsync());

  /** In the installation itself, as `serve` would be. */
  async function inApp<T>(act: (app: Awaited<ReturnType<typeof openApp>>) => Promise<T>): Promise<T> {
    await using app = await openApp({ config: site.inventory, clock: systemClock, onNotice: () => undefined });
    return await act(app);
  }

  async function report(name: string, ...more: string[]): Promise<ComplianceReport> {
    const out = join(site.folder, name);
    const to = new Date(Date.now() + 1000).toISOString();
    const outcome = await site.run("report", "--from", from.toISOString(), "--to", to, "--format", "json", "html", "--out", out, ...more);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return JSON.parse(await readFile(join(out, "report.json"), "utf8")) as ComplianceReport;
  }
  const exposureOf = ({ sources }: ComplianceReport): CopyExposure | undefined =>
    sources.find(({ name }) => name === "db")?.exposure.find(({ repository }) => repository === "onsite");
  const backupsIn = ({ population }: ComplianceReport): number => population.runs.filter(({ operation }) => operation === "backup").length;

  test("a gap that was found later is in the report of today, in words too, and in none as of before", async () => {
    const today = await report("today");
    expect(exposureOf(today)?.restatements).toMatchObject([{ timeline: 1, startLsn: "0/5000000" }]);
    expect(exposureOf(today)?.worst?.seconds).toBeGreaterThan(HOUR_MS / 4 / 1000 - 60);
    expect(today.findings.map(({ kind }) => kind)).toContain("exposure_restated");
    expect(await readFile(join(site.folder, "today/report.html"), "utf8")).toMatch(/restated/i);
    expect(backupsIn(today)).toBe(2);

    const then = await report("then", "--as-of", known.toISOString());
    expect(exposureOf(then)).toMatchObject({ restatements: [] });
    expect(exposureOf(then)?.worst?.seconds).toBeLessThan(30);
    expect(then.findings.map(({ kind }) => kind)).not.toContain("exposure_restated");
    expect(then.cover).toMatchObject({ asOf: known.toISOString() });
    expect(backupsIn(then)).toBe(1);
    expect(await site.run("report", "--from", from.toISOString(), "--to", known.toISOString(), "--as-of", "yesterday", "--out", join(site.folder, "no"))).toMatchObject({
      exitCode: 2,
    });
  });

  test("an export of evidence is on record itself: who, what of it, and the digest of the file; and a lost catalog brings it back", async () => {
    const file = join(site.folder, "all.evidence");
    const outcome = await site.run("evidence", "export", "--source", "uploads", "--out", file, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    const { entries } = outcome.json<{ entries: number }>();
    const recorded = async (): Promise<RecordedEntry[]> =>
      inApp(async ({ catalog }) => pageOfEntries(catalog, { sources: null, kind: "evidence.exported", by: null, from: null, to: null, limit: 10, offset: 0 }));
    const [entry, ...others] = await recorded();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ by: expect.stringMatching(/./) as string, facts: { repository: "onsite", entries, selection: { source: "uploads" } } });
    const digest = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
    const again = join(site.folder, "again.evidence");
    expect(await site.run("evidence", "export", "--out", again)).toMatchObject({ exitCode: 0 });
    // The second one holds the entry about the first, with the digest of it.
    const payloads = (await readFile(again, "utf8"))
      .split("\n")
      .flatMap((line) => [...line.matchAll(/"payload":"([A-Za-z0-9+/=]+)"/g)].map(([, payload]) => Buffer.from(payload ?? "", "base64").toString()));
    expect(payloads.some((text) => text.includes("evidence.exported") && text.includes(digest))).toBe(true);
    expect(await site.run("catalog", "rebuild")).toMatchObject({ exitCode: 0 });
    expect((await recorded()).length).toBe(2);
  });
});
