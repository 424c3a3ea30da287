import { expect, test } from "vitest";
import { backupPage } from "../../../src/dashboard/pages/backup-page.ts";
import { sourcePage } from "../../../src/dashboard/pages/source-page.ts";
import type { View } from "../../../src/dashboard/view.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const ID = "20261101T020000Z-full";

async function viewOf({ catalog }: History): Promise<View> {
  const inventory = await loadTestInventory();
  const facts = { catalog, inventory, findings: [], version: "0", summaries: () => [], stored: async () => [], evidenceHead: async () => null, evidence: async () => [] };
  return { facts, sources: inventory.sources, who: null, seesAll: true, now: new Date(iso("2026-11-08 12:00:10")), query: {} };
}

/** The snapshot of a source whose copies are locked like that. */
function locked(...until: (string | null | undefined)[]): Pick<typeof SNAPSHOT, "backups"> {
  const [backup] = SNAPSHOT.backups;
  if (backup === undefined) throw new Error("the snapshot has no backup");
  return { backups: [{ ...backup, copies: backup.copies.map((copy, i) => ({ ...copy, ...(until[i] === undefined ? {} : { lockedUntil: until[i] }) })) }] };
}

const textOf = (page: string): string =>
  page
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();

test("the page of a source says until when copies of backups are locked, and the page of a backup too", async () => {
  await using history = await openHistory();
  history.seen("2026-11-08 12:00", locked("2026-11-07T00:00:00.000Z", "2027-01-01T00:00:00.000Z"));
  const view = await viewOf(history);
  const source = textOf(String(sourcePage(view, { name: "orders" }).live));
  expect(source).toContain("Locked until");
  expect(source).toContain("onsite: over since 2026-11-07 00:00:00 cloud: 2027-01-01 00:00:00");
  const backup = textOf(String(backupPage(view, { name: "orders", id: ID }).live));
  expect(backup).toContain("2027-01-01 00:00:00");
});

test("where nothing is locked, or nobody asked, no column asks why", async () => {
  await using history = await openHistory();
  for (const copies of [[null, null], []]) {
    history.seen("2026-11-08 12:00", locked(...copies));
    expect(String(sourcePage(await viewOf(history), { name: "orders" }).live)).not.toContain("Locked until");
  }
});
