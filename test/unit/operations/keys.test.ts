import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openApp } from "../../../src/app.ts";
import type { App } from "../../../src/app.ts";
import { systemClock } from "../../../src/clock.ts";
import type { OperationContext } from "../../../src/operations/context.ts";
import { admitRequested, expelHost, findRequests } from "../../../src/operations/keys/change-hosts.ts";
import { addRecipient, removeRecipient } from "../../../src/operations/keys/change-recipients.ts";
import { listKeys } from "../../../src/operations/keys/list-keys.ts";
import { rotate } from "../../../src/operations/keys/rotate.ts";
import { verifyRepository } from "../../../src/operations/verify/verify-repository.ts";
import { createRepository } from "../../../src/repository/create-repository.ts";
import { readEvidence } from "../../../src/repository/evidence-reading.ts";
import { writeRequest } from "../../../src/repository/hosts.ts";
import { openRepository } from "../../../src/repository/repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../src/storage/local-store.ts";
import { listTree } from "../../support/tree.ts";
import { PASSPHRASE } from "../../support/repository-fixture.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const BOB = "bbbbb-fghij-klmno-pqrst-uvwxy-z2345";
/** Nobody else is at work: what verification would look at again later, it looks at again at once. */
const context: OperationContext = {
  clock: { ...systemClock, sleep: async () => undefined },
  signal: new AbortController().signal,
  onProgress: () => undefined,
  onNotice: () => undefined,
};

let stack: AsyncDisposableStack;
let folder: string;
let app: App;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  folder = stack.use(await openScratchFolder()).path;
  await prepareLocalStore(join(folder, "repo"));
  await createRepository({ name: "onsite", store: openLocalStore(join(folder, "repo")), passphrase: PASSPHRASE, keptAt: "the safe", now: systemClock.now() });
  await writeFile(join(folder, "key"), PASSPHRASE);
  app = await openHost("admin", `passphrase: "file:${join(folder, "key")}"`);
});

afterEach(async () => stack.disposeAsync());

/** An installation with a state folder of its own. */
async function openHost(name: string, encryption: string): Promise<App> {
  const inventory = join(folder, name, "holdfast.yaml");
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(inventory, `version: 1\nrepositories: { onsite: { url: "file://${join(folder, "repo")}", encryption: { ${encryption} } } }\nsources: {}\n`);
  return stack.use(await openApp({ config: inventory, clock: systemClock, onNotice: () => undefined }));
}

const admin = async (secret: string | null = null): ReturnType<App["administration"]> => app.administration("onsite", secret);
const verify = async (): Promise<string[]> => {
  const repository = await openRepository({ name: "onsite", store: openLocalStore(join(folder, "repo")), secret: PASSPHRASE, host: null });
  return (await verifyRepository({ repository, source: null, backup: null, tier: "pages" }, context)).damage.map(({ object }) => object);
};

async function addBob(): Promise<void> {
  await addRecipient(app, await admin(), { label: "bob", keptAt: "Bob's safe", opener: { kind: "passphrase", passphrase: BOB } });
}

test("the last that can open is not removed, and neither is one beside which only a damaged one is left", async () => {
  await expect(removeRecipient(app, await admin(), "passphrase")).rejects.toMatchObject({ code: "HF-LAST-KEY", exitCode: 4 });
  await addBob();
  const { recipients } = await listKeys((await admin()).repository);
  expect(recipients.map(({ label, keptAt }) => [label, keptAt])).toEqual([
    ["passphrase", "the safe"],
    ["bob", "Bob's safe"],
  ]);
  const bobs = (await listTree(join(folder, "repo"))).find((path) => /bob.*\.age$/.test(path)) ?? "";
  const whole = await readFile(join(folder, "repo", bobs));
  await writeFile(join(folder, "repo", bobs), whole.subarray(1));
  await expect(removeRecipient(app, await admin(), "passphrase")).rejects.toMatchObject({ code: "HF-LAST-KEY" });
  await writeFile(join(folder, "repo", bobs), whole);
  await removeRecipient(app, await admin(), "passphrase");
  await expect(admin()).rejects.toMatchObject({ code: "HF-KEY" });
  await expect(removeRecipient(app, await admin(BOB), "bob")).rejects.toMatchObject({ code: "HF-LAST-KEY" });
});

test("two recipients cannot share a label or a passphrase", async () => {
  await addBob();
  await expect(addBob()).rejects.toThrow(/has a recipient bob already/);
  await expect(addRecipient(app, await admin(), { label: "carl", keptAt: null, opener: { kind: "passphrase", passphrase: BOB } })).rejects.toThrow(/opens onsite already/);
});

test("a rotation without the passphrase of each is refused before anything is touched, and names whose it wants", async () => {
  await addBob();
  const before = await listTree(join(folder, "repo/keys"));
  await expect(rotate(app, await admin(), [])).rejects.toMatchObject({ code: "HF-KEY", facts: { labels: ["bob"] } });
  expect(await listTree(join(folder, "repo/keys"))).toEqual(before);
  expect((await rotate(app, await admin(), [BOB])).recipients.toSorted()).toEqual(["bob", "passphrase"]);
  expect(await verify()).toEqual([]);
});

test("each change is on record in the repository", async () => {
  await app.repository("onsite");
  await addBob();
  await rotate(app, await admin(), [BOB]);
  await removeRecipient(app, await admin(), "bob");
  const { repository } = await admin();
  const kinds = (await readEvidence(repository)).entries.map(({ kind }) => kind);
  expect(kinds).toEqual(["host.admitted", "key.added", "key.rotated", "key.removed"]);
});

test("a host asks, is admitted, and is expelled; each step is on record, and verify finds nothing wrong", async () => {
  const { keyId, recipient } = await listKeys((await admin()).repository);
  const writer = await openHost("writer", `recipient: ${recipient}`);
  await expect(writer.repository("onsite")).rejects.toThrow(/may not write in onsite yet/);
  const { signer } = writer.host;
  const { repositoryId, store } = (await admin()).repository;
  await writeRequest(store, repositoryId, signer, { name: "db7", at: systemClock.now() });
  expect(await findRequests((await admin()).repository)).toMatchObject([{ fingerprint: signer.fingerprint, name: "db7" }]);
  await expect(admitRequested(app, await admin(), { fingerprint: signer.fingerprint.slice(0, 8), name: null })).rejects.toThrow(/no host of that fingerprint/);
  expect(await admitRequested(app, await admin(), { fingerprint: signer.fingerprint, name: "db seven" })).toMatchObject({ name: "db seven" });
  expect((await writer.repository("onsite")).keyRing).toMatchObject({ canOpenData: false, current: { keyId } });
  expect(await findRequests((await admin()).repository)).toEqual([]);
  expect(await expelHost(app, await admin(), signer.fingerprint)).toMatchObject({ name: "db seven", objects: 0 });
  const again = await openHost("writer", `recipient: ${recipient}`);
  await expect(again.repository("onsite")).rejects.toThrow(/was expelled/);
  await rotate(app, await admin(), []);
  expect(await verify()).toEqual([]);
});

test.each([
  ["rotation", /^rotations\//],
  ["expulsion", /^expelled\/.*\.json$/],
  ["list of an expelled host", /^expelled\/.*\.list$/],
  ["envelope of an older key", /^keys\/.*bob.*\.age$/],
  ["admission", /^hosts\//],
])("verify notices a %s that was cut off, and one that was taken away", async (_kind, pattern) => {
  await addBob();
  const writer = await openHost("writer", `passphrase: "file:${join(folder, "key")}"`);
  const { signer } = await writer.repository("onsite");
  await writer.journal.evidence.append("policy.changed", systemClock.now(), {});
  await writer.journal.copyToRepositories();
  const { keyId: first } = await rotate(app, await admin(), [BOB]).then(({ from }) => ({ keyId: from }));
  await expelHost(app, await admin(), signer.fingerprint);
  expect(await verify()).toEqual([]);
  const root = join(folder, "repo");
  for (const object of (await listTree(root)).filter((path) => pattern.test(path) && !path.startsWith(`hosts/${first}/`))) {
    const whole = await readFile(join(root, object));
    await writeFile(join(root, object), whole.subarray(0, -3));
    expect(await found(object), `${object} cut off`).toBe(true);
    await rm(join(root, object));
    expect(await found(object), `${object} taken away`).toBe(true);
    await writeFile(join(root, object), whole);
  }
});

/** Named by verification, or by the refusal to open the repository. */
async function found(object: string): Promise<boolean> {
  try {
    return (await verify()).includes(object);
  } catch (error) {
    return error instanceof Error && "object" in error && error.object === object;
  }
}
