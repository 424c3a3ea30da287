import { join } from "node:path";
import { readFile, readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { authenticate } from "../../../src/access/authenticate.ts";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { findToken, listTokens } from "../../../src/catalog/tokens.ts";
import { HoldfastError } from "../../../src/errors.ts";
import type { Journal } from "../../../src/operations/record-run.ts";
import { addToken, revokeToken } from "../../../src/operations/tokens.ts";
import type { TokenWish } from "../../../src/operations/tokens.ts";
import { EvidenceLog } from "../../../src/repository/evidence-log.ts";
import { openHostState } from "../../../src/repository/host-state.ts";
import { openLocalStore } from "../../../src/storage/local-store.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const NOON = new Date("2026-11-08T12:00:00Z");
const LATER = new Date("2026-11-09T12:00:00Z");
const WISH: TokenWish = { role: "viewer", name: null, scope: null, expiresAfterSeconds: null, by: "ann (shell)" };

interface Host extends AsyncDisposable {
  readonly journal: Journal;
  readonly folder: string;
  who(token: string, now?: Date): unknown;
}

async function openHost(): Promise<Host> {
  const scratch = await openScratchFolder();
  const { signer } = await openHostState(scratch.path);
  const catalog = Catalog.open(join(scratch.path, "catalog.sqlite"));
  const evidence = new EvidenceLog(openLocalStore(scratch.path), signer);
  const clock = { now: () => NOON, monotonicMs: () => 0, sleep: async () => undefined };
  return {
    journal: { evidence, catalog, clock, hostName: "db1", copyToRepositories: async () => undefined },
    folder: scratch.path,
    who: (token, now = NOON) => {
      const found = authenticate({ catalog, writer: evidence.writer, now }, token);
      return found.ok ? found.identity.name : found.why;
    },
    [Symbol.asyncDispose]: async () => {
      catalog[Symbol.dispose]();
      await scratch[Symbol.asyncDispose]();
    },
  };
}

test("a token is known by what it was made with, and nothing like it is", async () => {
  await using host = await openHost();
  const { token, record } = await addToken(host.journal, { ...WISH, role: "operator", name: "ann", scope: ["orders", "team=payments"] });
  expect(authenticate({ catalog: host.journal.catalog, writer: host.journal.evidence.writer, now: NOON }, token)).toEqual({
    ok: true,
    identity: { kind: "token", id: record.id, name: "ann", role: "operator", scope: ["orders", "team=payments"] },
  });
  const other = await addToken(host.journal, WISH);
  const swapped = `${token.slice(0, 16)}${other.token.slice(16)}`;
  for (const wrong of [swapped, `${token} `, token.slice(0, -1), token.toUpperCase(), `Bearer ${token}`, record.sha256, "", "hf_", `hf_${"0".repeat(12)}_${"A".repeat(43)}`])
    expect([wrong, host.who(wrong)]).toEqual([wrong, "unknown"]);
});

test("a token ends when its time is over, and at once when it is revoked", async () => {
  await using host = await openHost();
  const boxed = await addToken(host.journal, { ...WISH, role: "auditor", name: "kim", expiresAfterSeconds: 3600 });
  expect([host.who(boxed.token, new Date("2026-11-08T12:59:59Z")), host.who(boxed.token, new Date("2026-11-08T13:00:00Z"))]).toEqual(["kim", "expired"]);
  const ann = await addToken(host.journal, { ...WISH, name: "ann" });
  await revokeToken(host.journal, { wanted: "ann", by: "root (shell)" });
  expect([host.who(ann.token), host.who(boxed.token)]).toEqual(["revoked", "kim"]);
  const again = await revokeToken(host.journal, { wanted: ann.record.id, by: "root (shell)" });
  expect([again.revokedAt, (await host.journal.evidence.head())?.sequence]).toEqual([NOON.toISOString(), 3]);
});

test("a name is one token's while it is in force, and free again afterwards", async () => {
  await using host = await openHost();
  const first = await addToken(host.journal, { ...WISH, name: "ann" });
  await expect(addToken(host.journal, { ...WISH, name: "ann" })).rejects.toThrow(HoldfastError);
  await revokeToken(host.journal, { wanted: "ann", by: "root (shell)" });
  const second = await addToken(host.journal, { ...WISH, name: "ann" });
  expect([host.who(first.token), host.who(second.token)]).toEqual(["revoked", "ann"]);
  await revokeToken(host.journal, { wanted: "ann", by: "root (shell)" });
  expect(host.who(second.token)).toBe("revoked");
  await expect(revokeToken(host.journal, { wanted: "nobody", by: "root (shell)" })).rejects.toThrow(/no token/);
});

test("the token itself is in no file: only its digest is", async () => {
  await using host = await openHost();
  const { token, record } = await addToken(host.journal, WISH);
  const secret = token.slice(16);
  const files = (await readdir(host.folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const texts = await Promise.all(files.map(async (file) => readFile(join(file.parentPath, file.name), "latin1")));
  const payloads = texts.flatMap((text) => /"payload":"([^"]+)"/.exec(text)?.[1] ?? []).map((payload) => Buffer.from(payload, "base64").toString());
  expect([...texts, ...payloads].filter((text) => text.includes(secret))).toEqual([]);
  expect(payloads.filter((text) => text.includes(record.sha256))).toHaveLength(1);
});

test("tokens come back from evidence, also the revoked ones as revoked; and those of another writer open nothing here", async () => {
  await using host = await openHost();
  const ann = await addToken(host.journal, { ...WISH, name: "ann", scope: ["orders"], expiresAfterSeconds: 60 });
  const ben = await addToken(host.journal, { ...WISH, name: "ben" });
  await revokeToken(host.journal, { wanted: "ben", by: "root (shell)" });
  const { writer } = host.journal.evidence;
  await using scratch = await openScratchFolder();
  using rebuilt = Catalog.open(join(scratch.path, "catalog.sqlite"));
  const stranger = "e".repeat(64);
  for await (const entry of host.journal.evidence.entriesFrom(1)) {
    applyEntry(rebuilt, entry);
    // The same words of another host, who knows a token of its own.
    applyEntry(rebuilt, { ...entry, writer: stranger });
  }
  expect(listTokens(rebuilt, writer)).toEqual(listTokens(host.journal.catalog, writer));
  const forged = { id: "f".repeat(12), name: "eve", role: "admin", scope: null, sha256: ann.record.sha256, expiresAt: null, by: "eve" };
  applyEntry(rebuilt, { writer: stranger, sequence: 4, at: NOON.toISOString(), kind: "token.added", facts: forged });
  applyEntry(rebuilt, { writer: stranger, sequence: 5, at: NOON.toISOString(), kind: "token.revoked", facts: { id: ann.record.id } });
  expect([findToken(rebuilt, writer, forged.id), findToken(rebuilt, writer, ann.record.id)?.revokedAt]).toEqual([null, null]);
  expect(authenticate({ catalog: rebuilt, writer, now: NOON }, ben.token)).toMatchObject({ why: "revoked" });
  expect(authenticate({ catalog: rebuilt, writer, now: LATER }, ann.token)).toMatchObject({ why: "expired", token: ann.record.id });
});

test.each([
  [{ role: "king" }, "unknown"],
  [{ scope: "orders" }, "sees nothing"],
  [{ scope: undefined }, "sees nothing"],
  [{ expiresAt: "soon" }, "expired"],
  [{ sha256: "abcd" }, "unknown"],
])("an entry that says %j gives no more than it can be read to give: %s", async (odd, result) => {
  await using host = await openHost();
  const { record, token } = await addToken(host.journal, WISH);
  const { catalog, evidence } = host.journal;
  catalog.run("delete from tokens", {});
  const facts = { id: record.id, name: "x", role: "viewer", scope: null, sha256: record.sha256, expiresAt: null, by: "x", ...odd };
  applyEntry(catalog, { writer: evidence.writer, sequence: 9, at: NOON.toISOString(), kind: "token.added", facts });
  const found = authenticate({ catalog, writer: evidence.writer, now: NOON }, token);
  expect(found.ok ? (found.identity.scope?.length === 0 ? "sees nothing" : "sees all") : found.why).toBe(result);
});
