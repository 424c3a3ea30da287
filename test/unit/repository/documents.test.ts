import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { readDocument, writeDocument } from "../../../src/repository/document.ts";
import { isSignedBy, parseEnvelope, signEnvelope } from "../../../src/repository/dsse.ts";
import { keys } from "../../../src/repository/layout.ts";
import { openRepository } from "../../../src/repository/repository.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { generateSigningKey } from "../../../src/repository/signing.ts";
import { putIfAbsent } from "../../../src/storage/object-store.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";

const anything = z.looseObject({});
const tombstone = { backup: "20260101T000000Z-full", reason: "a test" };

describe("an envelope", () => {
  const key = generateSigningKey();
  const bytes = signEnvelope("application/x", Buffer.from('{"a":1}'), key);

  test("says who signed it, and nobody else did", () => {
    const envelope = parseEnvelope(bytes);
    if (envelope === null) throw new Error("not parsed");
    expect(isSignedBy(envelope, key)).toBe(true);
    expect(isSignedBy(envelope, generateSigningKey())).toBe(false);
    expect(isSignedBy({ ...envelope, payloadType: "application/y" }, key)).toBe(false);
  });

  /** The same content in other bytes: every reader of JSON takes it, and the signature would fit. */
  const disguises: Record<string, (text: string) => string> = {
    "without the line feed": (text) => text.trimEnd(),
    "with another line feed": (text) => `${text}\n`,
    "with a space": (text) => text.replace(":", ": "),
    "with an unknown field": (text) => text.replace("{", '{"x":1,'),
    "with an unknown field in the signature": (text) => text.replace('{"keyid"', '{"x":1,"keyid"'),
    "with a field twice": (text) => text.replace("{", '{"payloadType":"application/y",'),
    "with its fields in another order": (text) => text.replace(/^\{("payloadType":"[^"]*"),("payload":"[^"]*")/, "{$2,$1"),
    "with escapes": (text) => text.replace("application", "\\u0061pplication"),
    "with base64 that ignores bits": (text) => text.replace(/"payload":"([^"]*)"/, (_, payload: string) => `"payload":"${payload.replace(/=+$/, "")}"`),
    "with base64url": (text) => text.replaceAll("+", "-").replaceAll("/", "_").replace("application_x", "application/x"),
    "with two signatures": (text) => text.replace(/\[(\{.*\})\]/, "[$1,$1]"),
    "with a byte order mark": (text) => `\ufeff${text}`,
  };
  test.each(Object.keys(disguises))("%s is not one: no bit of it is without meaning", (name) => {
    const disguised = Buffer.from(disguises[name]?.(bytes.toString("utf8")) ?? "");
    if (!disguised.equals(bytes)) expect(parseEnvelope(disguised)).toBeNull();
  });

  test("with any bit flipped is not one, or its signature does not fit", () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const envelope = parseEnvelope(damaged);
      expect(envelope !== null && isSignedBy(envelope, key), `bit ${bit}`).toBe(false);
    }
  });
});

describe("a document", () => {
  let fixture: RepositoryFixture;
  let repository: WritableRepository;
  const key = keys.tombstone("db", "a");

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    repository = await fixture.open();
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const write = async (at = key): Promise<string> => writeDocument(repository, at, "tombstone", tombstone, repository.signer);

  test("is written once: a second one under its key changes nothing", async () => {
    expect(await write()).toBe("created");
    expect(await writeDocument(repository, key, "tombstone", { ...tombstone, reason: "another" }, repository.signer)).toBe("exists");
    expect((await readDocument(repository, key, "tombstone", anything)).payload).toMatchObject({ reason: "a test" });
  });

  test("under the key of another is refused", async () => {
    await write();
    await putIfAbsent(fixture.store, keys.tombstone("db", "b"), await fixture.store.read(key));
    await expect(readDocument(repository, keys.tombstone("db", "b"), "tombstone", anything)).rejects.toThrow(/was written as/);
  });

  test("of another repository is refused, also one signed by a host of both", async () => {
    await using other = await openRepositoryFixture();
    const foreign = await other.open();
    await writeDocument({ ...foreign, findSigner: foreign.findSigner }, key, "tombstone", tombstone, repository.signer);
    await putIfAbsent(fixture.store, key, await other.store.read(key));
    await expect(readDocument(repository, key, "tombstone", anything)).rejects.toThrow(/belongs to repository/);
  });

  test("of another kind is refused: a tombstone is no manifest", async () => {
    await write();
    await expect(readDocument(repository, key, "manifest", anything)).rejects.toThrow(/it is a tombstone, not a manifest/);
  });

  test("signed by a host that was never admitted is refused", async () => {
    await writeDocument(repository, key, "tombstone", tombstone, generateSigningKey());
    await expect(readDocument(repository, key, "tombstone", anything)).rejects.toThrow(/signed by a host that this repository does not know/);
  });

  test("of a later format is not guessed at, and is no damage", async () => {
    await writeDocument(repository, key, "tombstone", { ...tombstone, format: 2 }, repository.signer);
    await expect(readDocument(repository, key, "tombstone", anything)).rejects.toMatchObject({ code: "HF-USAGE", message: expect.stringContaining("format 2") as string });
  });

  test("of a host that was admitted after we opened the repository is read", async () => {
    const later = await fixture.open("two");
    await writeDocument(later, key, "tombstone", tombstone, later.signer);
    expect(await readDocument(repository, key, "tombstone", anything)).toMatchObject({ signer: later.signer.fingerprint });
  });

  test("of an admission that somebody made without the key of the repository admits nobody", async () => {
    const intruder = generateSigningKey();
    const { keyId } = repository.keyRing.current;
    const admission = { publicKey: intruder.publicKey, name: "intruder", admittedAt: "2026-01-01T00:00:00Z" };
    await writeDocument(repository, keys.host(keyId, intruder.fingerprint), "host", admission, intruder);
    await writeDocument(repository, keys.host(keyId, repository.signer.fingerprint.replace(/^./, "0")), "host", admission, repository.signer);
    const reopened = await openRepository({ name: "test", store: fixture.store, secret: "abcde-fghij-klmno-pqrst-uvwxy-z2345", host: null });
    expect(reopened.findSigner(intruder.fingerprint)).toBeNull();
    await writeDocument(repository, key, "tombstone", tombstone, intruder);
    await expect(readDocument(reopened, key, "tombstone", anything)).rejects.toThrow(/does not know/);
  });
});
