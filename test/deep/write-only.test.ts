import { createPrivateKey } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Decrypter } from "age-encryption";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeTable, decodeTail, deriveFrameKeys, fitsCommitment, TABLE_ENTRY_BYTES, TAIL_BYTES } from "../../src/repository/container-format.ts";
import type { ContainerMeta } from "../../src/repository/container-format.ts";
import { openRepository } from "../../src/repository/repository.ts";
import { openLocalStore } from "../../src/storage/local-store.ts";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";
import { listTree } from "../support/tree.ts";

/**
 * A host that holds the recipient of a repository, a signing key of its own and a map key, and neither passphrase nor identity. Everything it has is tried on everything that is stored.
 */
describePostgres("a host that only writes", {}, (binaries) => {
  let resources: AsyncDisposableStack | undefined;
  let source: Cluster;
  let site: Site;
  let folder: string;
  let root: string;
  let made: { id: string; type: string }[];
  let atEnd: ClusterDigest;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source }));
    root = join(site.folder, "onsite");
    folder = join(site.folder, "writer");
    const { recipient } = (await site.run("key", "list", "--json")).json<{ recipient: string }>();
    await mkdir(join(folder, "policies"), { recursive: true });
    await writeFile(join(folder, "policies/plain.yaml"), await readFile(join(site.folder, "policies/plain.yaml")));
    const inventory = await readFile(site.inventory, "utf8");
    await writeFile(join(folder, "holdfast.yaml"), inventory.replace("{ passphrase: env:SITE_KEY }", `{ recipient: ${recipient} }`));
    await source.sql("create table t as select g, md5(g::text) as text from generate_series(1, 5000) g");
    expect(await write("backup")).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("holdfast key request") as string });
    const { fingerprint } = (await write("key", "request", "--name", "db7", "--json")).json<{ fingerprint: string }>();
    expect(await site.run("key", "admit", fingerprint)).toMatchObject({ exitCode: 0 });
    made = [await backUp("full")];
    await source.sql("update t set text = 'changed' where g % 50 = 0");
    made.push(await backUp("incr"));
    const running = site.start(environment(), "wal", "stream");
    await source.sql("insert into t select g, 'streamed' from generate_series(10001, 10500) g");
    await untilDurable(site);
    running.process.kill("SIGTERM");
    expect(await running.ended()).toMatchObject({ exitCode: 0 });
    atEnd = await digestDatabases(source.url());
    resources = stack.move();
  });

  afterAll(async () => resources?.disposeAsync());

  const environment = (): Record<string, string> => ({ HOLDFAST_CONFIG: join(folder, "holdfast.yaml"), HOLDFAST_KEY: "", SITE_KEY: "" });
  const write = async (...args: string[]): Promise<Outcome> => site.runWith(environment(), ...args);

  async function backUp(type: string): Promise<{ id: string; type: string }> {
    const outcome = await write("backup", "--type", type, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return outcome.json();
  }

  test("makes fulls and incrementals, and streams; whoever has the passphrase restores all of it", async () => {
    expect(made.map(({ type }) => type)).toEqual(["full", "incremental"]);
    await using restored = await restoreAndStart(site, source, "--to", "latest");
    expect(await digestDatabases(restored.url())).toEqual(atEnd);
  });

  test("knows what there is and how far it reaches", async () => {
    const { sources } = (await write("info", "--json")).json<{ sources: { backups: unknown[]; gaps: unknown[]; windows: unknown[]; exposure: { seconds: number | null }[] }[] }>();
    expect(sources).toMatchObject([{ gaps: [], windows: [{ timeline: 1 }] }]);
    expect(sources[0]?.backups.length).toBe(2);
    expect(sources[0]?.exposure[0]?.seconds).not.toBeNull();
    expect((await write("check")).stdout).toContain("is written to with its recipient");
  });

  test("verifies what can be without opening it, and says so", async () => {
    const outcome = await write("verify", "--tier", "pages", "--json");
    expect(outcome).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("cannot be opened here") as string });
    expect(outcome.json()).toMatchObject({ ok: true, tier: "stored", damage: [] });
    const pack = (await listTree(root)).find((path) => path.endsWith("/data/00000000")) ?? "";
    const whole = await readFile(join(root, pack));
    const changed = Buffer.from(whole);
    changed[100] = (changed[100] ?? 0) ^ 1;
    await writeFile(join(root, pack), changed);
    expect((await write("verify", "--json")).json()).toMatchObject({ ok: false, damage: [{ object: pack }] });
    await writeFile(join(root, pack), whole);
  });

  test.each([
    ["a restore", ["restore", "--to", "latest", "--target", "/tmp/holdfast-never-made"]],
    ["a drill", ["drill"]],
  ])("refuses %s before anything is touched, with a hint", async (_what, args) => {
    expect(await write(...args)).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/error\[HF-KEY\]: this host only writes.*\nhint: .*passphrase/s) as string });
  });

  test("holds nothing that opens data, WAL, or the identity: everything it has was tried on everything that is there", async () => {
    const held = await secretsIn(folder);
    expect(held.keys.length).toBeGreaterThanOrEqual(2);
    const objects = await listTree(root);
    const containers = await Promise.all(
      objects.filter((path) => /\/(data|map)\/\d{8}$|\/wal\/\d+\/[^/]+\/(?!index).*[^n]$/.test(path)).map(async (path) => readMeta(join(root, path), path)),
    );
    const opened = new Set(containers.filter(({ meta }) => held.keys.some((key) => opens(key, meta))).map(({ meta }) => meta.kind));
    const kinds = new Set(containers.map(({ meta }) => meta.kind));
    expect([...kinds].toSorted()).toEqual(expect.arrayContaining(["data", "map", "part", "wal"]));
    // The map key opens maps and summaries, which shows that the attempt is a real one; and nothing else is opened by anything.
    expect([...opened].toSorted()).toEqual(["map", "summary"]);
    const sealed = new Set(containers.flatMap(({ meta }) => ("sealed" in meta.key ? [meta.key.sealed] : [])));
    const envelopes = objects.filter((path) => path.endsWith(".age"));
    const files = [...[...sealed].map((text) => Buffer.from(text, "base64")), ...(await Promise.all(envelopes.map(async (path) => readFile(join(root, path)))))];
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) expect(await openedBy(file, held.words)).toBeNull();
    // And with the passphrase the same attempt opens an envelope.
    expect(await openedBy(files.at(-1) ?? Buffer.alloc(0), [site.key])).toMatch(/^AGE-SECRET-KEY-1/);
  });

  test("keeps on writing after a rotation that it was not told of, and what it writes then is sealed to the new key", async () => {
    const rotated = (await site.run("key", "rotate", "--json")).json<{ keyId: string; from: string }>();
    await source.sql("delete from t where g % 11 = 0");
    const next = await backUp("incr");
    expect(next.type).toBe("incremental");
    const repository = await openRepository({ name: "onsite", store: openLocalStore(root), secret: site.key, host: null });
    const manifest = JSON.parse(
      Buffer.from((JSON.parse(await readFile(join(root, `sources/db/manifests/${next.id}.json`), "utf8")) as { payload: string }).payload, "base64").toString(),
    ) as {
      dataKey: { keyId: string };
    };
    expect(manifest.dataKey.keyId).toBe(rotated.keyId);
    expect(repository.chain.links.map(({ keyId }) => keyId)).toEqual([rotated.from, rotated.keyId]);
    const expected = await digestDatabases(source.url());
    await using restored = await restoreAndStart(site, source, "--to", "immediate", "--backup", next.id);
    expect(await digestDatabases(restored.url())).toEqual(expected);
  });

  test("follows its source over a promotion, by what histories say in clear", async () => {
    await source.stop("fast");
    await writeFile(join(source.dataDirectory, "standby.signal"), "");
    await source.start();
    await source.promote();
    await source.sql("insert into t select g, 'on the next timeline' from generate_series(30001, 30100) g");
    const next = await backUp("incr");
    expect((await write("info", "--json")).json()).toMatchObject({ sources: [{ timeline: 2, gaps: [] }] });
    expect((await write("verify", "--json")).json()).toMatchObject({ ok: true, tier: "stored", damage: [] });
    const expected = await digestDatabases(source.url());
    await using restored = await restoreAndStart(site, source, "--to", "immediate", "--backup", next.id);
    expect(await digestDatabases(restored.url())).toEqual(expected);
  });
});

/** Whatever could be a key in the files of a folder: 32 bytes in some writing, the seed of a signing key; and every word, as a passphrase or an identity. */
async function secretsIn(folder: string): Promise<{ keys: Buffer[]; words: string[] }> {
  const found = new Map<string, Buffer>();
  const words = new Set<string>();
  const add = (key: Buffer): void => void (key.length === 32 && found.set(key.toString("hex"), key));
  for (const path of await listTree(folder)) {
    const text = await readFile(join(folder, path), "latin1");
    for (const [word] of text.matchAll(/[A-Za-z0-9+/=_-]{12,}/g)) {
      // The catalog is full of words that are none of these; each would cost a moment, and what it holds of keys is among the bytes.
      if (!path.includes("catalog.sqlite")) words.add(word);
      add(Buffer.from(word, "base64"));
      if (/^[0-9a-f]{64}$/.test(word)) add(Buffer.from(word, "hex"));
    }
    if (text.includes("PRIVATE KEY")) add(Buffer.from(createPrivateKey(text).export({ format: "jwk" }).d ?? "", "base64url"));
  }
  return { keys: [...found.values()], words: [...words] };
}

async function readMeta(file: string, object: string): Promise<{ meta: ContainerMeta }> {
  const bytes = await readFile(file);
  const tail = decodeTail(bytes.subarray(bytes.length - TAIL_BYTES), object);
  const start = bytes.length - TAIL_BYTES - tail.metaLength;
  const meta = JSON.parse(bytes.subarray(start, start + tail.metaLength).toString()) as ContainerMeta;
  expect(decodeTable(bytes.subarray(start - tail.frameCount * TABLE_ENTRY_BYTES, start), meta.kind, object).length).toBe(tail.frameCount);
  return { meta };
}

function opens(key: Buffer, meta: ContainerMeta): boolean {
  return fitsCommitment(deriveFrameKeys(key, Buffer.from(meta.salt, "base64")), Buffer.from(meta.commitment, "base64"));
}

/** What is in an age file, if one of these opens it. */
async function openedBy(file: Buffer, words: readonly string[]): Promise<string | null> {
  const isScrypt = file.subarray(0, 200).includes("-> scrypt ");
  for (const word of words) {
    const decrypter = new Decrypter();
    try {
      if (isScrypt) decrypter.addPassphrase(word);
      else decrypter.addIdentity(word);
      return await decrypter.decrypt(file, "text");
    } catch {
      continue; // not this one
    }
  }
  return null;
}
