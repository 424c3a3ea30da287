import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { MIGRATIONS } from "../../../src/catalog/migrations.ts";
import { applyEntry, lastApplied } from "../../../src/catalog/apply-entry.ts";
import { findRun, firstSuccess, lastHandledSlot, listRuns } from "../../../src/catalog/runs.ts";
import { listVerified } from "../../../src/catalog/verified.ts";
import type { HistoryEntry } from "../../../src/catalog/history-entry.ts";
import type { Run } from "../../../src/catalog/runs.ts";
import { Random } from "../../support/random.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";

const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();

describe("the catalog", () => {
  let scratch: ScratchFolder;
  let file: string;
  let catalog: Catalog;
  let sequence: number;

  beforeEach(async () => {
    scratch = await openScratchFolder();
    file = join(scratch.path, "state/catalog.db");
    catalog = Catalog.open(file);
    sequence = 0;
  });
  afterEach(async () => {
    catalog[Symbol.dispose]();
    await scratch[Symbol.asyncDispose]();
  });

  const entry = (kind: string, minute: number, facts: Record<string, unknown>, writer = "a".repeat(64)): HistoryEntry => ({
    writer,
    sequence: ++sequence,
    at: at(minute),
    kind,
    facts,
  });
  const started = (run: string, minute: number, more: Record<string, unknown> = {}): HistoryEntry =>
    entry("run.started", minute, { run, source: "db", operation: "backup", type: "full", trigger: "schedule", scheduledFor: at(minute), ...more });
  const finished = (run: string, minute: number, outcome = "succeeded", more: Record<string, unknown> = {}): HistoryEntry =>
    entry("run.finished", minute, { run, outcome, figures: { bytes: minute }, ...more });
  const apply = (...entries: HistoryEntry[]): void => {
    for (const one of entries) applyEntry(catalog, one);
  };
  const ids = (runs: readonly Run[]): string[] => runs.map(({ id }) => id);

  test("opens again and again, also twice at once, and keeps what it holds", () => {
    apply(started("r1", 1));
    using again = Catalog.open(file);
    applyEntry(again, finished("r1", 2));
    expect(findRun(catalog, "r1")).toMatchObject({ outcome: "succeeded", finishedAt: at(2), facts: { bytes: 2 } });
  });

  test("of a newer program is left as it is", () => {
    catalog[Symbol.dispose]();
    const raw = new DatabaseSync(file);
    raw.exec(`pragma user_version = ${MIGRATIONS.length + 1}`);
    raw.close();
    expect(() => Catalog.open(file)).toThrow(/newer version/);
    const after = new DatabaseSync(file);
    expect(after.prepare("pragma user_version").get()).toMatchObject({ user_version: MIGRATIONS.length + 1 });
    after.exec(`pragma user_version = ${MIGRATIONS.length}`);
    after.close();
    catalog = Catalog.open(file);
  });

  test("brought forward from nothing in steps is the same as in one go", () => {
    const shape = (of: DatabaseSync): unknown => of.prepare("select name, sql from sqlite_master where sql is not null order by name").all();
    const steps = new DatabaseSync(":memory:");
    for (const migration of MIGRATIONS) steps.exec(migration);
    const made = new DatabaseSync(file);
    expect(shape(made)).toEqual(shape(steps));
    made.close();
    steps.close();
  });

  test("does all of a transaction or nothing", () => {
    expect(() =>
      catalog.transaction(() => {
        catalog.run("insert into applied (writer, sequence) values (:writer, 1)", { writer: "x" });
        throw new Error("in the middle");
      }),
    ).toThrow("in the middle");
    expect(lastApplied(catalog, "x")).toBe(0);
    catalog.transaction(() => catalog.run("insert into applied (writer, sequence) values (:writer, 1)", { writer: "x" }));
    expect(lastApplied(catalog, "x")).toBe(1);
  });

  test("is the same however often the same history is brought in", () => {
    const history = [
      started("r1", 1),
      finished("r1", 2, "succeeded", { verified: [{ repository: "onsite", source: "db", backup: "b1", tier: "decoded", ok: true }] }),
      started("r2", 3),
      finished("r2", 4, "interrupted"),
      // What came after it was put on record as interrupted does not change it.
      finished("r2", 5, "succeeded"),
      entry("run.missed", 6, { run: "m1", source: "db", operation: "drill", trigger: "schedule", scheduledFor: at(6), until: at(9), slots: 4 }),
      started("r3", 7),
    ];
    apply(...history);
    const once = [listRuns(catalog), listVerified(catalog, "db")];
    apply(...history, ...history.slice(0, 3));
    expect([listRuns(catalog), listVerified(catalog, "db")]).toEqual(once);
    expect(listRuns(catalog).map(({ id, outcome, slots }) => [id, outcome, slots])).toEqual([
      ["r3", "running", 1],
      ["m1", "missed", 4],
      ["r2", "interrupted", 1],
      ["r1", "succeeded", 1],
    ]);
  });

  test("says of verification what was found last, also when an older finding comes later", () => {
    const verified = (run: string, minute: number, ok: boolean): HistoryEntry[] => [
      started(run, minute),
      finished(run, minute, "succeeded", { verified: [{ repository: "onsite", source: "db", backup: "b1", tier: "stored", ok }] }),
    ];
    apply(...verified("new", 20, false));
    apply(...verified("old", 10, true));
    expect(listVerified(catalog, "db")).toMatchObject([{ ok: false, at: at(20) }]);
  });

  test("damage that was found stands until a verification went as deep again and found none", () => {
    const found = (): unknown => listVerified(catalog, "db").map(({ tier, ok }) => [tier, ok]);
    for (const [index, [tier, ok, after]] of (
      [
        ["present", true, ["present", true]],
        ["decoded", false, ["decoded", false]],
        ["stored", true, ["decoded", false]],
        ["unheard-of", true, ["decoded", false]],
        ["decoded", true, ["decoded", true]],
        ["stored", false, ["stored", false]],
        ["pages", true, ["pages", true]],
        ["present", true, ["present", true]],
      ] as const
    ).entries()) {
      apply(started(`v${index}`, index), finished(`v${index}`, index, "succeeded", { verified: [{ repository: "onsite", source: "db", backup: "b1", tier, ok }] }));
      expect([index, found()]).toEqual([index, [after]]);
    }
  });

  test("lists runs by every filter as one would by hand, newest first, a page at a time", () => {
    const random = new Random("runs");
    const all: { id: string; source: string; operation: string; outcome: string; minute: number }[] = [];
    for (let i = 0; i < 120; i++) {
      const run = {
        id: `r${i}`,
        source: random.pick(["db", "other"]),
        operation: random.pick(["backup", "drill", "verify"]),
        outcome: random.pick(["running", "succeeded", "failed"]),
        minute: random.integer(0, 300),
      };
      all.push(run);
      apply(started(run.id, run.minute, { source: run.source, operation: run.operation }));
      if (run.outcome !== "running") apply(finished(run.id, run.minute + 1, run.outcome));
    }
    const newestFirst = all.toSorted((a, b) => (a.minute === b.minute ? all.indexOf(b) - all.indexOf(a) : b.minute - a.minute));
    for (const source of [undefined, "db"])
      for (const operation of [undefined, "drill"])
        for (const outcome of [undefined, "failed"] as const)
          for (const [from, to] of [
            [undefined, undefined],
            [50, undefined],
            [50, 200],
          ]) {
            const wanted = newestFirst.filter(
              (run) =>
                (source === undefined || run.source === source) &&
                (operation === undefined || run.operation === operation) &&
                (outcome === undefined || run.outcome === outcome) &&
                (from === undefined || run.minute >= from) &&
                (to === undefined || run.minute < to),
            );
            const filter = {
              ...(source === undefined ? {} : { source }),
              ...(operation === undefined ? {} : { operation }),
              ...(outcome === undefined ? {} : { outcome }),
              ...(from === undefined ? {} : { from: at(from) }),
              ...(to === undefined ? {} : { to: at(to) }),
            };
            expect(ids(listRuns(catalog, filter))).toEqual(wanted.map(({ id }) => id));
            expect(ids(listRuns(catalog, { ...filter, limit: 7, offset: 3 }))).toEqual(wanted.slice(3, 10).map(({ id }) => id));
          }
  });

  test("knows the last slot that was dealt with, run or missed, and the first success", () => {
    expect(lastHandledSlot(catalog, "db", "backup", "full")).toBeNull();
    apply(started("r1", 10), finished("r1", 11, "failed"), started("r2", 20), finished("r2", 21), started("r3", 30, { type: "incremental" }));
    apply(entry("run.missed", 50, { run: "m", source: "db", operation: "backup", type: "full", trigger: "schedule", scheduledFor: at(22), until: at(40), slots: 3 }));
    expect(lastHandledSlot(catalog, "db", "backup", "full")?.toISOString()).toBe(at(40));
    expect(lastHandledSlot(catalog, "db", "backup", "incremental")?.toISOString()).toBe(at(30));
    expect(lastHandledSlot(catalog, "other", "backup", null)).toBeNull();
    expect(firstSuccess(catalog, "db", "backup")?.toISOString()).toBe(at(20));
  });
});
