import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openApp } from "../../../../src/app.ts";
import type { App } from "../../../../src/app.ts";
import { systemClock } from "../../../../src/clock.ts";
import { addBytes } from "../../../../src/domain/lsn.ts";
import { changeHold } from "../../../../src/operations/holds/change-hold.ts";
import type { HoldChange, HoldRequest } from "../../../../src/operations/holds/change-hold.ts";
import { chooseSource } from "../../../../src/operations/installation.ts";
import { observeSource } from "../../../../src/operations/observe.ts";
import { verifyRepository } from "../../../../src/operations/verify/verify-repository.ts";
import { createRepository } from "../../../../src/repository/create-repository.ts";
import { readEvidence } from "../../../../src/repository/evidence-reading.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { openLocalStore, prepareLocalStore } from "../../../../src/storage/local-store.ts";
import { startOf, WalFixture } from "../../../support/wal-fixture.ts";
import { configurationFolder } from "../../policy/configuration-folder.ts";

const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";
const BACKUP = "20260101T000000Z-full";
const context = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };

interface Site extends AsyncDisposable {
  readonly app: App;
  readonly folder: string;
  change(request: Partial<HoldRequest>): Promise<HoldChange>;
}

/** A source with one backup in `onsite` and none in `cloud`. */
async function openSite(): Promise<Site> {
  const at = (root: string): string =>
    `version: 1\nrepositories:\n${["onsite", "cloud"].map((name) => `  ${name}: { url: "file://${root}/${name}", encryption: { passphrase: "file:${root}/key" } }\n`).join("")}sources:\n  db: { connection: env:NOT_SET, policy: p }\n`;
  const policy = `version: 1\nname: p\nbackups:\n  full: { schedule: { every: 7d }, retention: 12w, repositories: [onsite, cloud] }\n`;
  const folder = await configurationFolder({ key: PASSPHRASE, "policies/p.yaml": policy, "holdfast.yaml": "" });
  await writeFile(folder.inventory, at(folder.path));
  for (const name of ["onsite", "cloud"]) {
    await prepareLocalStore(join(folder.path, name));
    await createRepository({ name, store: openLocalStore(join(folder.path, name)), passphrase: PASSPHRASE, now: systemClock.now() });
  }
  const app = await openApp({ config: folder.inventory, clock: systemClock, onNotice: () => undefined });
  const archive = await WalFixture.open(await app.repository("onsite"));
  await archive.backup(BACKUP, startOf(1), addBytes(startOf(1), 100), { stopAt: "2026-01-01T00:00:00.000Z" });
  return {
    app,
    folder: folder.path,
    change: async (request) => changeHold(app, { source: chooseSource(app.inventory, "db"), backup: BACKUP, action: "pin", reason: null, by: "ann (shell)", ...request }, context),
    [Symbol.asyncDispose]: async () => {
      await app[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const states = ({ copies }: HoldChange): string[] => copies.map(({ repository, state }) => `${repository} ${state}`);

test("a pin is in each copy that holds the backup, in info, and on record; twice is as good as once, and what was never pinned cannot be unpinned", async () => {
  await using site = await openSite();
  expect(states(await site.change({ action: "unpin" }))).toEqual(["onsite nothing", "cloud absent"]);
  expect(states(await site.change({ reason: "before the migration" }))).toEqual(["onsite changed", "cloud absent"]);
  expect(states(await site.change({}))).toEqual(["onsite already", "cloud absent"]);
  const { held, backups } = await observeSource(site.app, chooseSource(site.app.inventory, "db"));
  expect([held, backups.map(({ id, pinned, held: own, expiresAt }) => [id, pinned?.by, pinned?.reason, own, expiresAt])]).toEqual([
    null,
    [[BACKUP, "ann (shell)", "before the migration", null, null]],
  ]);
  const { entries } = await readEvidence(await site.app.repository("cloud"));
  expect(entries.filter(({ kind }) => kind === "hold.changed").map(({ facts }) => [facts["action"], facts["backup"], facts["by"], facts["reason"]])).toEqual([
    ["pin", BACKUP, "ann (shell)", "before the migration"],
    ["pin", BACKUP, "ann (shell)", null],
  ]);
  expect(states(await site.change({ action: "unpin" }))).toEqual(["onsite changed", "cloud absent"]);
});

test("a hold on all of a source is in every copy, also in those that hold nothing of it yet", async () => {
  await using site = await openSite();
  expect(states(await site.change({ action: "hold", backup: null, reason: "case 4711" }))).toEqual(["onsite changed", "cloud changed"]);
  const { held, backups } = await observeSource(site.app, chooseSource(site.app.inventory, "db"));
  expect([held?.reason, backups.map((backup) => backup.held?.reason)]).toEqual(["case 4711", ["case 4711"]]);
});

test("a copy that cannot be reached is named, and told when the command is run again", async () => {
  await using site = await openSite();
  await rename(join(site.folder, "cloud"), join(site.folder, "away"));
  expect(states(await site.change({ action: "hold", backup: null, reason: "case 4711" }))).toEqual(["onsite changed", "cloud failed"]);
  await rename(join(site.folder, "away"), join(site.folder, "cloud"));
  expect(states(await site.change({ action: "hold", backup: null, reason: "case 4711" }))).toEqual(["onsite already", "cloud changed"]);
});

test("a backup that is nowhere is refused", async () => {
  await using site = await openSite();
  await expect(site.change({ backup: "20260102T000000Z-full" })).rejects.toThrow("there is no backup 20260102T000000Z-full of db");
});

test("verification misses a whole row that was taken away, since the evidence log says that it was made", async () => {
  await using site = await openSite();
  await site.change({});
  const repository = await site.app.repository("onsite");
  const damaged = async (): Promise<string[]> => (await verifyRepository({ repository, source: null, backup: null, tier: "present" }, context)).damage.map(({ object }) => object);
  const before = await damaged();
  await repository.store.remove([keys.hold("db", BACKUP, 1)]);
  expect((await damaged()).filter((object) => !before.includes(object))).toEqual([keys.hold("db", BACKUP, 1)]);
});
