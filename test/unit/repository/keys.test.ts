import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { DamageError } from "../../../src/errors.ts";
import { FrameReader } from "../../../src/repository/container-reader.ts";
import { openContainer } from "../../../src/repository/open-container.ts";
import { appendAll, openContainerWriter } from "../../../src/repository/container-writer.ts";
import { openHostState } from "../../../src/repository/host-state.ts";
import { admitHost, expelFrom } from "../../../src/repository/hosts.ts";
import { listEnvelopes, writeEnvelope } from "../../../src/repository/key-envelopes.ts";
import { findOpeners, rotateKey } from "../../../src/repository/key-rotation.ts";
import { keys } from "../../../src/repository/layout.ts";
import { openAsAdmin, openForWriting, openRepository } from "../../../src/repository/repository.ts";
import type { Repository, WritableRepository } from "../../../src/repository/repository.ts";
import { listSignedBy } from "../../../src/repository/signed-objects.ts";
import type { ObjectStore } from "../../../src/storage/object-store.ts";
import { openRepositoryFixture, PASSPHRASE } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";

/** Who can open a repository and who can write in it, over rotations. In the form that needs no stretching, so that a test does not wait for it. */
const OTHER = "bbbbb-fghij-klmno-pqrst-uvwxy-z2345";

let fixture: RepositoryFixture;
beforeEach(async () => {
  fixture = await openRepositoryFixture();
});
afterEach(async () => fixture[Symbol.asyncDispose]());

async function admin(secret = PASSPHRASE): ReturnType<typeof openAsAdmin> {
  return openAsAdmin({ name: "test", store: fixture.store, secret, host: await openHostState(join(fixture.folder, "../state-admin")), hostName: "admin", now: systemClock.now() });
}

async function add(label: string, opener: Parameters<typeof writeEnvelope>[3]["opener"]): Promise<void> {
  const { repository, identity } = await admin();
  await writeEnvelope(fixture.store, repository.repositoryId, identity, { label, keptAt: null, opener, addedAt: systemClock.now().toISOString() });
}

async function remove(label: string): Promise<void> {
  const { repository } = await admin();
  for (const link of repository.chain.links)
    for (const envelope of await listEnvelopes(fixture.store, repository.repositoryId, link))
      if (envelope.label === label) await fixture.store.remove([envelope.object, keys.envelopeStatement(envelope.object)]);
}

async function rotate(store: ObjectStore = fixture.store): Promise<string> {
  const { repository, identity } = await admin();
  const { openers, unknown } = await findOpeners(store, repository.repositoryId, repository.chain.newest, [PASSPHRASE]);
  expect(unknown).toEqual([]);
  return (await rotateKey({ store, repositoryId: repository.repositoryId, link: repository.chain.newest, identity, openers, now: systemClock.now() })).keyId;
}

const open = async (secret: string): Promise<Repository> => openRepository({ name: "test", store: fixture.store, secret, host: null });
const objectKey = (name: string): string => `sources/db/wal/1/history/${name}`;

async function write(repository: WritableRepository, name: string): Promise<void> {
  const key = await repository.keyRing.sealNew();
  const place = { repository, source: "db", kind: "history" as const, objectKey: objectKey(name), boundKey: objectKey(name) };
  const writer = await openContainerWriter({ ...place, key, now: systemClock.now() });
  await appendAll(writer, Buffer.from(`content of ${name}`), 1);
  await writer.finish();
}

async function read(repository: Repository, name: string): Promise<string> {
  const container = await openContainer(repository, { objectKey: objectKey(name), boundKey: objectKey(name), source: "db", kind: "history" });
  return (await new FrameReader(repository, container).readAll(1 << 20)).toString();
}

test("an age key opens what a passphrase opens, and a removed one opens what was written before a rotation, and nothing after it", async () => {
  const ann = await generateX25519Identity();
  await add("ann", { kind: "recipient", recipient: await identityToRecipient(ann) });
  await add("bob", { kind: "passphrase", passphrase: OTHER });
  await write(await fixture.open(), "before");
  for (const secret of [PASSPHRASE, OTHER, ann]) expect(await read(await open(secret), "before")).toBe("content of before");
  const kept = { bob: await fixture.store.read((await envelopeOf("bob")).object), object: (await envelopeOf("bob")).object };
  await remove("bob");
  await expect(open(OTHER)).rejects.toThrow(/does not open this repository/);
  const next = await rotate();
  await write(await fixture.open(), "after");
  for (const secret of [PASSPHRASE, ann]) for (const name of ["before", "after"]) expect(await read(await open(secret), name)).toBe(`content of ${name}`);
  // Bob kept his age file, and puts it back: it opens the old key, as it always will.
  await put(kept.object, kept.bob);
  const bob = await open(OTHER);
  expect(await read(bob, "before")).toBe("content of before");
  await expect(read(bob, "after")).rejects.toThrow(new RegExp(`the key ${next} is needed`));
});

async function envelopeOf(label: string): Promise<{ object: string }> {
  const { repository } = await admin();
  const found = (await listEnvelopes(fixture.store, repository.repositoryId, repository.chain.newest)).find((envelope) => envelope.label === label);
  if (found === undefined) throw new Error(`no envelope ${label}`);
  return found;
}

async function put(object: string, bytes: Buffer): Promise<void> {
  const writer = await fixture.store.create(object);
  await writer.write(bytes);
  expect(await writer.commit()).toBe("created");
}

test("a passphrase that nobody gave is named, and nothing is rotated", async () => {
  await add("bob", { kind: "passphrase", passphrase: OTHER });
  const { repository } = await admin();
  const { unknown } = await findOpeners(fixture.store, repository.repositoryId, repository.chain.newest, [PASSPHRASE]);
  expect(unknown).toEqual(["bob"]);
});

test("of two rotations at once one wins, and the other leaves nothing behind", async () => {
  const results = await Promise.allSettled([rotate(), rotate()]);
  const [won, lost] = [results.filter((result) => result.status === "fulfilled"), results.filter((result) => result.status === "rejected")];
  expect([won.length, lost.length]).toEqual([1, 1]);
  expect(lost[0]?.reason).toMatchObject({ code: "HF-BUSY" });
  expect((await fixture.store.listNames("keys/")).length).toBe(2);
  expect((await open(PASSPHRASE)).chain.newest.keyId).toBe(won[0]?.value);
});

test("what a rotation that was not finished left behind means nothing, and the next one works", async () => {
  const dying: ObjectStore = { ...fixture.store, create: async (key) => (key.startsWith("rotations/") ? Promise.reject(new Error("power cut")) : fixture.store.create(key)) };
  await expect(rotate(dying)).rejects.toThrow("power cut");
  expect((await open(PASSPHRASE)).chain.links.length).toBe(1);
  const next = await rotate();
  expect((await open(PASSPHRASE)).chain.newest.keyId).toBe(next);
});

test("a host that saw a rotation refuses a repository from which it was taken away", async () => {
  await fixture.open();
  const first = (await open(PASSPHRASE)).chain.newest.keyId;
  await rotate();
  await fixture.open();
  await fixture.store.remove([keys.rotation(first)]);
  await expect(fixture.open()).rejects.toThrow(DamageError);
  await expect(fixture.open()).rejects.toThrow(/knows of a later key/);
});

test("a process that opened the repository before a rotation seals new data to the new key, and hosts write on", async () => {
  const long = await fixture.open();
  const next = await rotate();
  expect((await long.keyRing.sealNew()).keyId).toBe(next);
  await write(long, "on");
  expect(await read(await open(PASSPHRASE), "on")).toBe("content of on");
});

test("after a rotation the map key is another one, and each host keeps the old ones for what it wrote before", async () => {
  const before = await fixture.open();
  await rotate();
  const after = await fixture.open();
  expect(after.mapKey.id).not.toBe(before.mapKey.id);
  expect(after.keyRing.mapKey(before.mapKey.id)).not.toBeNull();
  expect((await fixture.open()).mapKey.id).toBe(after.mapKey.id);
});

test("a host that was admitted under an old key only, by whoever kept that, is not believed", async () => {
  const { repository, identity } = await admin();
  await rotate();
  const stranger = await openHostState(join(fixture.folder, "../state-stranger"));
  await admitHost(fixture.store, repository.repositoryId, identity, { key: stranger.signer, name: "stranger", at: systemClock.now(), by: repository.signer });
  expect((await open(PASSPHRASE)).findSigner(stranger.signer.fingerprint)).toBeNull();
});

test("what an expelled host had written stays, what it writes afterwards is refused, and both also after a rotation", async () => {
  const host = await fixture.open("leaver");
  await write(host, "old");
  const { repository, identity } = await admin();
  const signed = await listSignedBy(repository, host.signer.fingerprint);
  expect([...signed.keys()]).toEqual([objectKey("old")]);
  const entry = repository.hosts.find(({ fingerprint }) => fingerprint === host.signer.fingerprint);
  if (entry === undefined) throw new Error("not admitted");
  await expelFrom(fixture.store, repository.repositoryId, identity, { ...entry, expelledAt: systemClock.now().toISOString() }, signed);
  await write(host, "new");
  for (const rotated of [false, true]) {
    if (rotated) await rotate();
    const reader = await open(PASSPHRASE);
    expect(await read(reader, "old")).toBe("content of old");
    await expect(read(reader, "new")).rejects.toThrow(/expelled/);
  }
  await expect(fixture.open("leaver")).rejects.toThrow(/this host was expelled/);
});

test("a host without any secret is trusted with the recipient it was given, and with no other", async () => {
  const first = (await open(PASSPHRASE)).chain.newest.recipient;
  const host = await openHostState(join(fixture.folder, "../state-writer"));
  const options = { name: "test", store: fixture.store, secret: null, host, hostName: "writer", now: systemClock.now() };
  await expect(openForWriting({ ...options, recipient: await identityToRecipient(await generateX25519Identity()) })).rejects.toThrow(/is not that of the recipient/);
  await expect(openForWriting({ ...options, recipient: first })).rejects.toThrow(/may not write in test yet/);
  const { repository, identity } = await admin();
  await admitHost(fixture.store, repository.repositoryId, identity, { key: host.signer, name: "writer", at: systemClock.now(), by: repository.signer });
  const writer = await openForWriting({ ...options, recipient: first });
  expect(writer.keyRing.canOpenData).toBe(false);
  await write(writer, "sealed");
  await expect(read(writer, "sealed")).rejects.toThrow(/is needed and not at hand/);
  expect(await read(await open(PASSPHRASE), "sealed")).toBe("content of sealed");
  // It follows a rotation by its signatures, though the inventory names the first recipient.
  const next = await rotate();
  expect((await openForWriting({ ...options, recipient: first })).chain.newest.keyId).toBe(next);
});
