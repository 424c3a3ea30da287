import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acknowledgeAlert } from "../../../src/alerts/acknowledge.ts";
import { AlertKeeper } from "../../../src/alerts/alert-keeper.ts";
import { accessEventsSince } from "../../../src/catalog/access-events.ts";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { countOpenAlerts, listOpenAlerts, pageOfAlerts } from "../../../src/catalog/alerts.ts";
import type { HistoryEntry } from "../../../src/catalog/history-entry.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { saveSnapshot } from "../../../src/catalog/snapshots.ts";
import type { SystemAlertFacts } from "../../../src/domain/alert-facts.ts";
import type { ReportSource } from "../../../src/domain/compliance.ts";
import type { SourceInfo } from "../../../src/domain/source-info.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT, VERIFY_FIGURES } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const START = Date.parse(iso("2026-11-08 12:00:00"));
const GAP = { repository: "onsite", timeline: 1, startLsn: "0/6000000", endLsn: "0/7000000", firstSegment: "a", lastSegment: "a" };
const QUIET: SystemAlertFacts = { schedulerOnTime: true, configurationProblem: null, findings: [], expiring: [], capacity: [], locks: [], access: [], channels: [], evidence: [] };

describe("alerts", () => {
  let history: History;
  let sources: ReportSource[];
  let ms: number;
  let entries: HistoryEntry[];
  let system: SystemAlertFacts;
  let keeper: AlertKeeper;

  beforeEach(async () => {
    history = await openHistory();
    const inventory = await loadTestInventory();
    sources = [...inventory.sources.values()].filter(({ name }) => name === "orders");
    [ms, entries, system] = [0, [], QUIET];
    keeper = keeperOf(history.catalog);
    history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:00" });
    history.drilled("2026-11-02 04:00:00");
    seen({});
  });
  afterEach(async () => history[Symbol.asyncDispose]());

  const record = async (kind: string, facts: Record<string, unknown>): Promise<void> => {
    const entry = { writer: "b".repeat(64), sequence: entries.length + 1, at: new Date(START + ms).toISOString(), kind, facts };
    entries.push(entry);
    applyEntry(history.catalog, entry);
  };
  const keeperOf = (catalog: Catalog): AlertKeeper =>
    new AlertKeeper({
      catalog,
      clock: { now: () => new Date(START + ms), monotonicMs: () => ms, sleep: async () => undefined },
      sources: () => sources,
      systemFacts: () => system,
      record,
    });
  const seen = (info: Partial<SourceInfo>): void => {
    const exposure = ["onsite", "cloud"].map((repository) => ({ repository, seconds: 1, bytes: 10, observedAt: new Date(START + ms).toISOString() }));
    saveSnapshot(history.catalog, new Date(START + ms), { ...SNAPSHOT, exposure, ...info });
  };
  /** Looks every five seconds, with the source observed as it is. */
  const pass = async (seconds: number, info: Partial<SourceInfo> = {}): Promise<void> => {
    for (const until = ms + seconds * 1000; ms < until; ms += 5000) {
      seen(info);
      await keeper.look();
    }
  };
  const open = (): string[] => listOpenAlerts(history.catalog).map(({ severity, key, state }) => `${severity} ${key} ${state}`);

  test("of a source that is as it should be there are none", async () => {
    await pass(20);
    expect(open()).toEqual([]);
    expect(entries).toEqual([]);
  });

  test("are raised, acknowledged and over, each once and each on record", async () => {
    await pass(20, { gaps: [GAP] });
    expect(open()).toEqual(["P1 wal_gap/orders/onsite open"]);
    expect(countOpenAlerts(history.catalog)).toEqual({ P1: 1, P2: 0, P3: 0, P4: 0 });
    const [alert] = listOpenAlerts(history.catalog);
    const by = { id: alert?.id ?? "", by: "anna", reason: "a full runs" };
    await acknowledgeAlert(history.catalog, by, record);
    await acknowledgeAlert(history.catalog, { ...by, by: "bert" }, record);
    await pass(20, { gaps: [GAP] });
    expect(listOpenAlerts(history.catalog)).toMatchObject([{ state: "acknowledged", acknowledgedBy: "anna", acknowledgeReason: "a full runs" }]);
    await pass(90);
    expect(open()).toEqual([]);
    expect(entries.map(({ kind }) => kind)).toEqual(["alert.raised", "alert.acknowledged", "alert.resolved"]);
    await expect(acknowledgeAlert(history.catalog, by, record)).rejects.toThrow(/is over since/);
    await expect(acknowledgeAlert(history.catalog, { ...by, id: "none" }, record)).rejects.toThrow(/there is no alert "none"/);
  });

  test("come back from the evidence alone, the same and in the same state", async () => {
    await pass(20, { gaps: [GAP] });
    await acknowledgeAlert(history.catalog, { id: listOpenAlerts(history.catalog)[0]?.id ?? "", by: "anna", reason: null }, record);
    system = { ...QUIET, schedulerOnTime: false };
    await pass(60, { gaps: [GAP] });
    system = QUIET;
    await pass(90, { gaps: [GAP] });
    const all = { source: null, severity: null, state: null, limit: 100, offset: 0 };
    const before = pageOfAlerts(history.catalog, all);
    expect(before.map(({ kind, state }) => `${kind} ${state}`)).toEqual(["scheduler_stopped resolved", "wal_gap acknowledged"]);
    expect(pageOfAlerts(history.catalog, { ...all, order: "worst-open" }).map(({ kind }) => kind)).toEqual(["wal_gap", "scheduler_stopped"]);
    await using rebuilt = await openHistory();
    for (const entry of [...entries, ...entries]) applyEntry(rebuilt.catalog, entry);
    expect(pageOfAlerts(rebuilt.catalog, all)).toEqual(before);
    expect(pageOfAlerts(rebuilt.catalog, { ...all, state: "resolved", severity: "P1" })).toHaveLength(1);
    expect(pageOfAlerts(rebuilt.catalog, { ...all, source: "wiki" })).toEqual([]);
  });

  test("go on after a restart: what is open is not raised again, and what ended meanwhile is over", async () => {
    await pass(20, { gaps: [GAP] });
    keeper = keeperOf(history.catalog);
    await pass(20, { gaps: [GAP] });
    keeper = keeperOf(history.catalog);
    await pass(90);
    expect(entries.map(({ kind }) => kind)).toEqual(["alert.raised", "alert.resolved"]);
  });

  test("damage stays until all was verified as deeply and found good: a glance, or a look at one backup, proves nothing", async () => {
    const verified = (minute: number, more: Record<string, unknown>): string =>
      history.ran({
        operation: "verify",
        at: `2026-11-08 11:${minute}:00`,
        outcome: more["ok"] === false ? "failed" : "succeeded",
        figures: { ...VERIFY_FIGURES, backup: null, ...more },
      });
    verified(10, { ok: false, damage: [{ repository: "onsite", object: "x" }] });
    verified(11, { tier: "stored" });
    verified(12, { backup: "20261101T020000Z-full" });
    verified(13, { repositories: ["cloud"] });
    await pass(10);
    expect(open()).toEqual(["P1 repository_damaged/orders/onsite open"]);
    verified(14, { tier: "pages" });
    await pass(90);
    expect(open()).toEqual([]);
  });

  test("a breached objective is not over because the copy can no longer be observed", async () => {
    const exposed = (seconds: number | null): Partial<SourceInfo> => ({
      exposure: ["onsite", "cloud"].map((repository) => ({ repository, seconds: repository === "onsite" ? seconds : 1, bytes: 1, observedAt: iso("2026-11-08 12:00:00") })),
    });
    await pass(60, exposed(400));
    await pass(300, exposed(null));
    expect(open()).toEqual(["P2 rpo_breached/orders/onsite open", "P2 copy_unobserved/orders/onsite open"]);
    await pass(120, exposed(2));
    expect(open()).toEqual([]);
  });

  test("a token that was added is told, a refused call is, and a flood of them is told as one", async () => {
    await record("token.added", { id: "t1", name: "ci", role: "operator", sha256: "0".repeat(64), scope: null, by: "anna (shell)" });
    await record("access.refused", { why: "wrong token", by: null, address: "10.0.0.9", count: 1 });
    const told = async (): Promise<string[]> => {
      system = { ...QUIET, access: accessEventsSince(history.catalog, new Date(START)) };
      await keeper.look();
      return listOpenAlerts(history.catalog).map(({ severity, title, detail }) => `${severity} ${title}${detail === null ? "" : `: ${detail}`}`);
    };
    expect(await told()).toEqual([
      "P3 calls of the API were refused: 1 within an hour, the last: nobody known from 10.0.0.9: wrong token",
      "P4 a token was added: ci as operator by anna (shell)",
    ]);
    ms += 15 * 60_000;
    seen({});
    await record("access.refused", { why: "wrong token", by: null, address: "10.0.0.9", count: 5000 });
    expect((await told())[0]).toBe("P2 many calls of the API are refused: 5001 within 20 minutes");
  });

  test("a look at a thousand sources takes less than a second", async () => {
    const [source] = sources;
    if (source === undefined) throw new Error("no source");
    sources = Array.from({ length: 1000 }, (_, i) => ({ ...source, name: `s${i}` }));
    history.catalog.transaction(() => {
      for (const { name } of sources) saveSnapshot(history.catalog, new Date(START), { ...SNAPSHOT, name, gaps: [GAP] });
    });
    keeper = keeperOf(history.catalog);
    await keeper.look();
    expect(listOpenAlerts(history.catalog)).toHaveLength(1000);
    ms += 6000;
    const from = performance.now();
    await keeper.look();
    expect(performance.now() - from).toBeLessThan(1000);
  });
});
