import { expect, test } from "vitest";
import { readLockFacts } from "../../../src/alerts/lock-facts.ts";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import type { ReportSource } from "../../../src/domain/compliance.ts";

const rule = { repositories: ["onsite", "cloud"], retention: { keepForSeconds: 86_400 } };
const SOURCE = { name: "db", kind: "postgres", policy: { backups: new Map([["full", rule]]), log: null, drills: null } } as unknown as ReportSource;
const margin = (repository: string): number | null => (repository === "cloud" ? 172_800 : null);

test("locks are looked after by every expiry that reached their copy, whatever became of the others", () => {
  using catalog = Catalog.open(":memory:");
  let sequence = 0;
  const ran = (operation: string, at: string, outcome: string, reached: readonly string[]): void => {
    const run = `${operation}-${at}`;
    const what = { run, source: "db", operation, type: operation === "backup" ? "full" : null };
    const figures = { repositories: reached.map((repository) => ({ repository })) };
    applyEntry(catalog, { writer: "w", sequence: ++sequence, at, kind: "run.started", facts: { ...what, trigger: "schedule" } });
    applyEntry(catalog, { writer: "w", sequence: ++sequence, at, kind: "run.finished", facts: { ...what, outcome, figures } });
  };
  expect(readLockFacts(catalog, [SOURCE], margin)).toEqual([]);
  ran("backup", "2026-11-01T02:00:00.000Z", "succeeded", []);
  const about = { source: "db", repository: "cloud", since: "2026-11-01T02:00:00.000Z", marginSeconds: 172_800 };
  expect(readLockFacts(catalog, [SOURCE], margin)).toEqual([{ ...about, renewedAt: null }]);
  ran("expire", "2026-11-02T01:00:00.000Z", "succeeded", ["onsite", "cloud"]);
  ran("expire", "2026-11-02T02:00:00.000Z", "failed", ["cloud"]);
  ran("expire", "2026-11-02T03:00:00.000Z", "failed", ["onsite"]);
  expect(readLockFacts(catalog, [SOURCE], margin)).toEqual([{ ...about, renewedAt: "2026-11-02T02:00:00.000Z" }]);
});
