import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openApp } from "../../../../src/app.ts";
import type { App } from "../../../../src/app.ts";
import { systemClock } from "../../../../src/clock.ts";
import { addBytes } from "../../../../src/domain/lsn.ts";
import type { OperationContext } from "../../../../src/operations/context.ts";
import { planRestore } from "../../../../src/operations/restore/plan-restore.ts";
import { verifyRepository } from "../../../../src/operations/verify/verify-repository.ts";
import { createRepository } from "../../../../src/repository/create-repository.ts";
import { readEvidence } from "../../../../src/repository/evidence-reading.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { openRepository } from "../../../../src/repository/repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../../src/storage/local-store.ts";
import type { ObjectStore } from "../../../../src/storage/object-store.ts";
import { PASSPHRASE } from "../../../support/repository-fixture.ts";
import { openScratchFolder } from "../../../support/scratch-folder.ts";
import { SYSTEM_IDENTIFIER, WalBuilder } from "../../../support/wal-builder.ts";
import { historyFile, startOf, WalFixture } from "../../../support/wal-fixture.ts";

/** Nobody else is at work: what verification would look at again later, it looks at again at once. */
const context: OperationContext = {
  clock: { ...systemClock, sleep: async () => undefined },
  signal: new AbortController().signal,
  onProgress: () => undefined,
  onNotice: () => undefined,
};
const HISTORIES = keys.histories("db", SYSTEM_IDENTIFIER);
const FORKED = historyFile(1, startOf(2));

let stack: AsyncDisposableStack;
let folder: string;
let store: ObjectStore;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  folder = stack.use(await openScratchFolder()).path;
  await prepareLocalStore(join(folder, "repo"));
  store = openLocalStore(join(folder, "repo"));
  await createRepository({ name: "onsite", store, passphrase: PASSPHRASE, now: systemClock.now() });
  await writeFile(join(folder, "key"), PASSPHRASE);
});
afterEach(async () => stack.disposeAsync());

/** An installation with a state folder of its own: another host. */
async function openHost(name: string): Promise<{ app: App; archive: WalFixture }> {
  const inventory = join(folder, name, "holdfast.yaml");
  await mkdir(join(folder, name));
  await writeFile(
    inventory,
    `version: 1\nrepositories: { onsite: { url: "file://${join(folder, "repo")}", encryption: { passphrase: "file:${join(folder, "key")}" } } }\nsources: {}\n`,
  );
  const app = stack.use(await openApp({ config: inventory, clock: systemClock, onNotice: () => undefined }));
  return { app, archive: await WalFixture.open(await app.repository("onsite")) };
}

async function missing(): Promise<string[]> {
  const repository = await openRepository({ name: "onsite", store, secret: PASSPHRASE, host: null });
  const { damage } = await verifyRepository({ repository, source: null, backup: null, tier: "pages" }, context);
  for (const { kind } of damage) expect(kind).toBe("missing");
  return damage.map(({ object }) => object);
}

const MARK = keys.walHistoryMark("db", SYSTEM_IDENTIFIER, "00000002");
const histories = async (): Promise<string[]> => (await store.listNames(HISTORIES)).map((name) => HISTORIES + name);

test("a history that is all a copy holds of its timeline is missed when it is gone, until it is there again", async () => {
  const { app, archive } = await openHost("one");
  await archive.history(2, FORKED);
  await app.journal.copyToRepositories();
  expect(await missing()).toEqual([]);
  const [object = ""] = await histories();
  await store.remove([object]);
  expect(await missing()).toEqual([`${HISTORIES}00000002`]);
  await store.remove([MARK]);
  expect(await missing()).toEqual([MARK, object].toSorted());
  await archive.history(2, FORKED);
  expect(await missing()).toEqual([]);
  await store.remove([MARK]);
  expect(await missing()).toEqual([MARK]);
});

test("a restore of the latest does not pass over a timeline whose history is gone, and whose mark is all that tells of it", async () => {
  const { archive } = await openHost("one");
  const wal = new WalBuilder({ segments: 2 });
  wal.fillToEnd(0);
  await archive.segments(wal, [1]);
  await archive.backup("20260101T000000Z-full", startOf(1), addBytes(startOf(1), 100));
  await archive.history(2, FORKED);
  await store.remove(await histories());
  const planning = planRestore(await archive.view(), { target: { kind: "latest" }, backup: null, timeline: "latest", exclusive: false, acceptGap: false });
  await expect(planning).rejects.toMatchObject({ code: "HF-DAMAGE", object: `${HISTORIES}00000002` });
});

test("a mark that is damaged, or is that of another timeline, is named", async () => {
  const { archive } = await openHost("one");
  await archive.history(2, FORKED);
  await archive.history(3, `${FORKED}2\t0/4000000\tno recovery target specified\n`);
  const other = keys.walHistoryMark("db", SYSTEM_IDENTIFIER, "00000003");
  await writeFile(join(folder, "repo", MARK), await store.read(other));
  await writeFile(join(folder, "repo", other), "{}");
  const repository = await openRepository({ name: "onsite", store, secret: PASSPHRASE, host: null });
  const { damage } = await verifyRepository({ repository, source: null, backup: null, tier: "present" }, context);
  expect(damage.map(({ object, kind }) => [object, kind])).toEqual([
    [MARK, "damaged"],
    [other, "damaged"],
  ]);
});

test("what is on record is not put there again, and each timeline is there by itself", async () => {
  const { app, archive } = await openHost("one");
  for (let i = 0; i < 3; i++) await archive.history(2, FORKED);
  await archive.history(3, `${FORKED}2\t0/4000000\tno recovery target specified\n`);
  await app.journal.copyToRepositories();
  const { entries } = await readEvidence(archive.repository);
  expect(entries.filter(({ kind }) => kind === "wal.history").map(({ facts }) => [facts["timeline"], facts["objects"]])).toEqual(
    (await histories()).map((object, i) => [i + 2, [keys.walHistoryMark("db", SYSTEM_IDENTIFIER, `0000000${i + 2}`), object]]),
  );
});

test("of two objects for one timeline each is missed; one that was lost and stored again under another name is not", async () => {
  const [one, other] = [await openHost("one"), await openHost("other")];
  await one.archive.history(2, FORKED);
  await one.app.journal.copyToRepositories();
  const [first = ""] = await histories();
  // Another host has another map key, and so another name for the same content.
  await other.archive.history(2, FORKED);
  await other.app.journal.copyToRepositories();
  const second = (await histories()).find((object) => object !== first) ?? "";
  for (const object of [first, second]) {
    const bytes = await store.read(object);
    await store.remove([object]);
    expect(await missing()).toEqual([object]);
    await writeFile(join(folder, "repo", object), bytes);
  }
  await store.remove([first]);
  await other.archive.history(2, FORKED);
  await other.app.journal.copyToRepositories();
  expect(await missing()).toEqual([]);
});

test("where nothing is on record, a history is missed by what was on its timeline: a backup, or the stream", async () => {
  const { archive } = await openHost("one");
  await archive.history(2, FORKED);
  const [object = ""] = await histories();
  const wal = new WalBuilder({ segments: 2 });
  wal.fillToEnd(0);
  await archive.segments(wal, [1]);
  expect(await missing()).toEqual([]);
  await store.remove([object, MARK]);
  expect(await missing()).toEqual([]);
  await archive.streamPosition({ timeline: 2, lsn: startOf(2), coveredUntil: null });
  expect(await missing()).toEqual([`${HISTORIES}00000002`]);
  await store.remove((await store.listNames("leases/db.wal/")).map((name) => `leases/db.wal/${name}`));
  await archive.backup("20260101T000000Z-full", startOf(1), addBytes(startOf(1), 100), { timeline: 2 });
  expect(await missing()).toContain(`${HISTORIES}00000002`);
});
