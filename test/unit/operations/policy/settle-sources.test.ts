import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { userInfo } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticate } from "../../../../src/access/authenticate.ts";
import type { Identity } from "../../../../src/access/identity.ts";
import { openApp } from "../../../../src/app.ts";
import type { App } from "../../../../src/app.ts";
import { systemClock } from "../../../../src/clock.ts";
import { approvePolicy } from "../../../../src/operations/policy/approve-policy.ts";
import { addToken } from "../../../../src/operations/tokens.ts";
import { createRepository } from "../../../../src/repository/create-repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../../src/storage/local-store.ts";
import { configurationFolder } from "../../policy/configuration-folder.ts";

const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";
const BEA: Identity = { kind: "person", id: "1", name: "bea", role: "admin", scope: null };
const policy = (name: string, retention: string, more = "changes: { approval: required }"): string =>
  `version: 1\nname: ${name}\n${more}\nbackups:\n  full: { schedule: { every: 1h }, retention: ${retention}, repositories: [onsite] }\n`;

let folder: Awaited<ReturnType<typeof configurationFolder>>;
beforeEach(async () => {
  folder = await configurationFolder({
    key: PASSPHRASE,
    "policies/strong.yaml": policy("strong", "30d"),
    "policies/weak.yaml": policy("weak", "1d", "appliesTo: { labels: { team: web } }"),
    "holdfast.yaml": "",
  });
  await prepareLocalStore(join(folder.path, "onsite"));
  await createRepository({ name: "onsite", store: openLocalStore(join(folder.path, "onsite")), passphrase: PASSPHRASE, now: systemClock.now() });
  await sources("policy: strong");
});
afterEach(async () => folder[Symbol.asyncDispose]());

/** The inventory, with what is said of the source `db`; null: there is no such source. `other` is always there. */
async function sources(db: string | null): Promise<void> {
  const lines = [`  other: { connection: env:NOT_SET, policy: strong }`, ...(db === null ? [] : [`  db: { connection: env:NOT_SET, ${db} }`])];
  await writeFile(
    folder.inventory,
    `version: 1\nrepositories:\n  onsite: { url: "file://${folder.path}/onsite", encryption: { passphrase: "file:${folder.path}/key" } }\nsources:\n${lines.join("\n")}\n`,
  );
}

async function withApp<T>(act: (app: App, notices: string[]) => Promise<T>): Promise<T> {
  const notices: string[] = [];
  await using app = await openApp({ config: folder.inventory, clock: systemClock, onNotice: (text) => void notices.push(text) });
  return await act(app, notices);
}

/** What `db` is given now, and how often it was said that something waits. */
const given = async (): Promise<unknown> =>
  withApp(async ({ inventory }, notices) => {
    const db = inventory.sources.get("db");
    return db === undefined ? null : [db.policy.name, db.objectives.rtoSeconds / 3600, notices.length];
  });
const approve = async (): Promise<unknown> => withApp(async (app) => approvePolicy(app, { name: "source:db", identity: BEA }));

test.each<[string, string | null, unknown]>([
  ["moved to a weaker policy", "policy: weak", ["weak", 4, 0]],
  ["left without one, so that a weaker applies by its labels", "labels: { team: web }", ["weak", 4, 0]],
  ["given a looser objective by its tier", "policy: strong, tier: non-critical", ["strong", 24, 0]],
  ["dropped from the inventory", null, null],
])("a source that is %s keeps what it had until somebody else approves", async (_, db, afterwards) => {
  expect(await given()).toEqual(["strong", 4, 0]);
  await sources(db);
  expect(await given()).toEqual(["strong", 4, 1]);
  expect(await given()).toEqual(["strong", 4, 1]);
  await approve();
  expect(await given()).toEqual(afterwards);
  await expect(approve()).rejects.toThrow("waits for approval");
});

test("also with the catalog lost, and with the strong policy's file gone", async () => {
  await given();
  await sources("policy: weak");
  await given();
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(folder.path, "state", `catalog.sqlite${suffix}`), { force: true });
  expect(await given()).toEqual(["strong", 4, 1]);
});

test("what strengthens is in force at once, and a source that comes back leaves nothing to approve", async () => {
  await sources("policy: weak");
  expect(await given()).toEqual(["weak", 4, 0]);
  await sources("policy: strong, tier: critical");
  expect(await given()).toEqual(["strong", 0.25, 0]);
  await sources(null);
  expect(await given()).toEqual(["strong", 0.25, 1]);
  await sources("policy: strong, tier: critical");
  expect(await given()).toEqual(["strong", 0.25, 0]);
  await expect(approve()).rejects.toThrow("waits for approval");
});

test("where no policy asks for approval, sources come and go, and nothing is put on record of them", async () => {
  await sources("policy: weak");
  await given();
  await sources(null);
  expect(await given()).toBeNull();
  const names = await withApp(async (app) => {
    const all: unknown[] = [];
    for await (const { kind, facts } of app.journal.evidence.entriesFrom(1)) if (kind === "policy.changed") all.push(facts["name"]);
    return all;
  });
  expect(names).toContain("source:other");
  expect(names).not.toContain("source:db");
});

test("a token that was made after the change, by who made the change, does not approve it; one that was there before does", async () => {
  const by = `${userInfo().username} (shell)`;
  const wish = { role: "admin", scope: null, expiresAfterSeconds: null, by } as const;
  const identityOf = async (token: string): Promise<Identity> =>
    withApp(async (app) => {
      const who = authenticate({ catalog: app.catalog, writer: app.journal.evidence.writer, now: app.clock.now() }, token);
      if (!who.ok) throw new Error(who.why);
      return who.identity;
    });
  const before = await withApp(async (app) => addToken(app.journal, { ...wish, name: "bea" }));
  await sources("policy: weak");
  const after = await withApp(async (app) => addToken(app.journal, { ...wish, name: "carl" }));
  const approveWith = async (token: string): Promise<unknown> => {
    const identity = await identityOf(token);
    return withApp(async (app) => approvePolicy(app, { name: "source:db", identity }));
  };
  await expect(approveWith(after.token)).rejects.toThrow("made by");
  expect(await given()).toEqual(["strong", 4, 1]);
  await approveWith(before.token);
  expect(await given()).toEqual(["weak", 4, 0]);
});
