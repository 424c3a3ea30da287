import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { DamageError, HoldfastError } from "../../src/errors.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { planRestore } from "../../src/operations/restore/plan-restore.ts";
import { restore } from "../../src/operations/restore/restore.ts";
import { verifyRepository } from "../../src/operations/verify/verify-repository.ts";
import type { VerifyResult } from "../../src/operations/verify/verify-repository.ts";
import { openRepository } from "../../src/repository/repository.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { startCluster } from "../support/cluster.ts";
import { keepingAskedFor } from "../support/kept-copies.ts";
import type { KeptCopy } from "../support/kept-copies.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { Random } from "../support/random.ts";
import { asUser, serverUser } from "../support/server-user.ts";
import { openSite } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";
import type { Site } from "../support/site.ts";
import { digestTree } from "../support/tree.ts";

/**
 * Every kind of object, damaged in every way. HOLDFAST_DAMAGES=5 damages up to five objects of each kind, drawn by lot, in each of them (some 350 damages, ten minutes); by default one
 * object of each kind, in three of the ways that differ most.
 */
const PER_KIND = Number(process.env["HOLDFAST_DAMAGES"] ?? "1");

const KINDS = {
  descriptor: /^holdfast\.json$/,
  key: /^keys\//,
  rotation: /^rotations\//,
  host: /^hosts\//,
  lease: /^leases\//,
  binding: /\/bindings\//,
  hold: /\/holds\//,
  manifest: /\/manifests\//,
  contents: /\/contents$/,
  pack: /\/data\/\d{8}$/,
  map: /\/map\/\d{8}$/,
  segment: /\/[0-9A-F]{24}-[0-9a-f]{32}$/,
  summary: /\/summaries\//,
  part: /\/parts\//,
  index: /\/index\//,
  history: /\/history\/|\/history\.json$/,
  evidence: /^evidence\//,
} as const;
type Kind = keyof typeof KINDS;

type Way = "first byte" | "last byte" | "random byte" | "truncated" | "swapped" | "deleted";
const WAYS: readonly Way[] = ["first byte", "last byte", "random byte", "truncated", "swapped", "deleted"];
const SAMPLED: readonly (readonly Way[])[] = [
  ["random byte", "truncated", "deleted"],
  ["random byte", "swapped", "deleted"],
];

/** What a restore needs: damage to these must be noticed by it too. */
const NEEDED_BY_RESTORE = new Set<Kind>(["descriptor", "key", "rotation", "manifest", "pack", "map", "segment", "part", "history"]);

const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };

describePostgres("a damaged repository", { clientTools: ["pg_waldump"] }, (binaries) => {
  let resources: AsyncDisposableStack;
  let site: Site;
  let objects: { readonly copy: KeptCopy; readonly path: string }[];
  /** What is restored from each copy, undamaged. */
  const whole = new Map<KeptCopy, Map<string, string>>();

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { wal_keep_size: "400MB" } }));
    await moveWalTo(source, "0000000100000000000000F0");
    site = stack.use(await openSite({ cluster: source, keeping: keepingAskedFor() }));
    await source.sql("create table t (id int primary key, text text)");
    await source.sql("insert into t select g, md5(g::text) from generate_series(1, 5000) g");
    expect((await site.run("backup", "--json")).exitCode).toBe(0);
    await source.sql("update t set text = 'changed' where id < 100");
    expect((await site.run("backup", "--type", "incr", "--json")).exitCode).toBe(0);
    const [first] = (await infoOf(site)).backups;
    expect((await site.run("hold", "db", "--reason", "as long as this test runs")).exitCode).toBe(0);
    for (const action of ["pin", "unpin", "pin"]) expect((await site.run(action, "db", first?.id ?? "")).exitCode).toBe(0);
    const stream = site.start({}, "wal", "stream");
    // Enough segments for an index over 256 of them, then a promotion for a history file, then an unfinished segment for a part.
    for (let i = 0; i < 270; i++) await source.sql("select pg_logical_emit_message(true, 'fill', repeat('x', 100)); select pg_switch_wal()");
    stream.process.kill("SIGTERM");
    expect((await stream.ended()).exitCode).toBe(0);
    await promoteToNextTimeline(source);
    const again = site.start({}, "wal", "stream");
    await source.sql("insert into t select g, 'on the next timeline' from generate_series(10001, 10100) g");
    await waitFor(async () => (await objectsOf(site.copies)).some(({ path }) => KINDS.part.test(path) && path.includes("/00000002/")));
    again.process.kill("SIGTERM");
    expect((await again.ended()).exitCode).toBe(0);
    // Who was admitted under an older key is nobody's concern any more.
    const former: string[] = [];
    for (const { name } of site.copies) former.push((await site.run("key", "rotate", name, "--json")).json<{ from: string }>().from);
    objects = (await objectsOf(site.copies)).filter(({ path }) => !former.some((key) => path.startsWith(`hosts/${key}/`)));
    for (const copy of site.copies) {
      expect(await verify(copy), copy.name).toMatchObject({ ok: true, damage: [] });
      whole.set(copy, await restoredTree(copy));
    }
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function open(copy: KeptCopy): Promise<Repository> {
    return openRepository({ name: copy.name, store: copy.open(), secret: site.key, host: null });
  }

  async function verify(copy: KeptCopy): Promise<VerifyResult> {
    const repository = await open(copy);
    return verifyRepository({ repository, source: null, backup: null, tier: "pages" }, context);
  }

  /** The files a restore to latest from one copy produces, with others to help where there are others. */
  async function restoredTree(copy: KeptCopy): Promise<Map<string, string>> {
    const target = join(site.folder, "restored");
    try {
      const alone = await CopyView.open(await open(copy), "db");
      if (alone === null) throw new DamageError("sources/db", "nothing is there", "missing");
      const others = await Promise.all(site.copies.filter((other) => other !== copy).map(async (other) => CopyView.open(await open(other), "db")));
      const view = alone.withOthers(others.filter((other) => other !== null));
      const plan = await planRestore(view, { target: { kind: "latest" }, backup: null, timeline: "latest", exclusive: false, acceptGap: false });
      await restore({ plan, target, tablespaces: new Map(), owner: null, action: "promote", socketDirectory: "/tmp", port: 5499, sharedBuffersMaxBytes: 1 << 26 }, context);
      return await digestTree(target);
    } finally {
      await rm(target, { recursive: true, force: true });
    }
  }

  test("holds objects of every kind", () => {
    for (const [kind, pattern] of Object.entries(KINDS)) expect(objects.filter(({ path }) => pattern.test(path)).length, kind).toBeGreaterThan(0);
  });

  // A lease that is gone means that nobody writes: no loss, and nothing that could tell.
  const cases = (Object.keys(KINDS) as Kind[])
    .flatMap((kind, i) => (PER_KIND > 1 ? WAYS : (SAMPLED[i % 2] ?? [])).map((way) => ({ kind, way })))
    .filter(({ kind, way }) => kind !== "lease" || way !== "deleted");

  let damages = 0;

  test.each(cases)("$kind: $way", async ({ kind, way }) => {
    const random = new Random(`damage/${kind}/${way}`);
    const candidates = objects.filter(({ path }) => KINDS[kind].test(path));
    for (const { copy, path } of sample(candidates, PER_KIND, random)) {
      const other = candidates.find((candidate) => candidate.copy === copy && candidate.path !== path)?.path;
      if (way === "swapped" && other === undefined) continue;
      damages++;
      const undo = await damage(copy, path, way, other ?? path, random);
      try {
        const touched = way === "swapped" && other !== undefined ? [path, other] : [path];
        await expectFound(copy, touched, kind);
        if (NEEDED_BY_RESTORE.has(kind)) await expectNothingWrong(copy, path, kind);
      } finally {
        await undo();
      }
    }
  });

  test("is whole again afterwards", async () => {
    for (const copy of site.copies) expect(await verify(copy), copy.name).toMatchObject({ ok: true, damage: [] });
    expect(damages).toBeGreaterThanOrEqual(cases.length * 0.8);
    process.stdout.write(`${damages} damages\n`);
  });

  async function damage({ objects: held }: KeptCopy, path: string, way: Way, other: string, random: Random): Promise<() => Promise<void>> {
    const [bytes, otherBytes] = [await held.read(path), await held.read(other)];
    const changed = Buffer.from(bytes);
    const flip = (at: number): void => void (changed[at] = (changed[at] ?? 0) ^ (1 << random.integer(0, 7)));
    if (way === "first byte") flip(0);
    if (way === "last byte") flip(bytes.length - 1);
    if (way === "random byte") flip(random.integer(0, bytes.length - 1));
    if (way === "deleted") await held.remove(path);
    else await held.put(path, way === "truncated" ? bytes.subarray(0, random.integer(0, bytes.length - 1)) : way === "swapped" ? otherBytes : changed);
    if (way === "swapped") await held.put(other, bytes);
    return async () => {
      await held.put(path, bytes);
      if (way === "swapped") await held.put(other, otherBytes);
    };
  }

  /** Verification says no, and names the object, or refuses to open the repository, naming it. */
  async function expectFound(copy: KeptCopy, paths: readonly string[], kind: Kind): Promise<void> {
    let named: string[];
    let hurt: string[] = [];
    try {
      const result = await verify(copy);
      expect(result.ok, `${paths.join(", ")} was not noticed`).toBe(false);
      named = result.damage.map(({ object }) => object);
      hurt = result.damage.flatMap(({ backups }) => backups);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      named = [error.object];
      hurt = ["all"];
    }
    // A missing part or segment is known by its place, not by the end of its name, which says something about its content.
    const isNamed = paths.some((path) => named.some((object) => path === object || path.startsWith(object) || object.startsWith(path)));
    expect(isNamed, `${paths.join(", ")} is not among ${named.slice(0, 5).join(", ")}`).toBe(true);
    if (kind === "pack" || kind === "map" || kind === "manifest" || kind === "contents") expect(hurt.length).toBeGreaterThan(0);
    if (kind === "summary") expect(hurt).toEqual([]);
  }

  /** A restore refuses, or hands over exactly what it would have without the damage; where another copy has what the files are made of, it must. */
  async function expectNothingWrong(copy: KeptCopy, path: string, kind: Kind): Promise<void> {
    const expected = whole.get(copy) ?? new Map<string, string>();
    let tree: Map<string, string>;
    try {
      tree = await restoredTree(copy);
    } catch (error) {
      expect(error, `${path}: ${String(error)}`).toBeInstanceOf(HoldfastError);
      expect(site.copies.length > 1 && kind === "pack", `${path} of ${copy.name}: ${String(error)}`).toBe(false);
      return;
    }
    const differing = [...expected].filter(([name, digest]) => tree.get(name) !== digest).map(([name]) => name);
    // Another backup may have served instead: then its label differs, and so do pages that WAL brings up to date.
    const label = tree.get("backup_label");
    if (label === expected.get("backup_label")) expect(differing, path).toEqual([]);
  }
});

function sample<T>(candidates: readonly T[], count: number, random: Random): T[] {
  if (candidates.length <= count) return [...candidates];
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random.integer(0, candidates.length - 1));
  return candidates.filter((_, i) => chosen.has(i));
}

async function objectsOf(copies: readonly KeptCopy[]): Promise<{ copy: KeptCopy; path: string }[]> {
  const lists = copies.map(async (copy) => (await copy.objects.list()).map((path) => ({ copy, path })));
  return (await Promise.all(lists)).flat();
}

/** Begins WAL at another segment, shortly before a group of 256 begins: so that a complete group does not take twice as many. */
async function moveWalTo(cluster: Awaited<ReturnType<typeof startCluster>>, segment: string): Promise<void> {
  await cluster.stop("fast");
  await promisify(execFile)(join(cluster.binaries.directory, "pg_resetwal"), ["-l", segment, "-D", cluster.dataDirectory], asUser(await serverUser()));
  await cluster.start();
}

/** Stops the server, makes it a standby of nobody, and promotes it: the same data on the next timeline. */
async function promoteToNextTimeline(cluster: Awaited<ReturnType<typeof startCluster>>): Promise<void> {
  await cluster.stop("fast");
  await writeFile(join(cluster.dataDirectory, "standby.signal"), "");
  await cluster.start();
  await cluster.promote();
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (await condition()) return;
    await systemClock.sleep(100);
  }
  throw new Error("waited for 30 s in vain");
}
