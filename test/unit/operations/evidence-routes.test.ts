import { execFile } from "node:child_process";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openApp } from "../../../src/app.ts";
import type { App } from "../../../src/app.ts";
import { routeState } from "../../../src/catalog/evidence-routes.ts";
import { systemClock } from "../../../src/clock.ts";
import { exportBundle } from "../../../src/operations/evidence/export-bundle.ts";
import { sendToSecond } from "../../../src/operations/evidence/send-to-second.ts";
import { stampEvidence } from "../../../src/operations/evidence/stamp-evidence.ts";
import { BY_HAND, recordEntry, recordRun } from "../../../src/operations/record-run.ts";
import { createRepository } from "../../../src/repository/create-repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../src/storage/local-store.ts";
import { PASSPHRASE } from "../../support/repository-fixture.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import { TimeAuthority } from "../../support/time-authority.ts";

let stack: AsyncDisposableStack;
let folder: string;
let authority: TimeAuthority;
let notices: string[];

const at = (...parts: string[]): string => join(folder, ...parts);

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  folder = stack.use(await openScratchFolder()).path;
  notices = [];
  for (const name of ["authority", "second", "home"]) await mkdir(at(name));
  authority = stack.use(await TimeAuthority.start(at("authority")));
  await prepareLocalStore(at("repo"));
  await createRepository({ name: "onsite", store: openLocalStore(at("repo")), passphrase: PASSPHRASE, keptAt: "the safe", now: systemClock.now() });
  await writeFile(at("key"), PASSPHRASE);
  await writeFile(
    at("home", "holdfast.yaml"),
    `version: 1
repositories: { onsite: { url: "file://${at("repo")}", encryption: { passphrase: "file:${at("key")}" } } }
sources: {}
evidence:
  timestamps: { authority: "${authority.url}", certificates: "${authority.rootFile}", every: 1h }
  second: { url: "file://${at("second")}" }
`,
  );
});

afterEach(async () => stack.disposeAsync());

async function open(): Promise<App> {
  return stack.use(await openApp({ config: at("home", "holdfast.yaml"), clock: systemClock, onNotice: (text) => void notices.push(text) }));
}

let runs = 0;

/** What every operation does around its work. */
async function work(app: App): Promise<string> {
  const spec = { id: `run-${++runs}`, source: "orders", operation: "backup", type: "full", ...BY_HAND };
  return recordRun(app.journal, spec, async () => ({ outcome: "succeeded", reason: null, figures: {}, value: "done" }));
}

async function filesIn(...parts: string[]): Promise<string[]> {
  const names = await readdir(at(...parts)).catch(() => []);
  return names.filter((name) => /^\d{12}\.json$/.test(name)).toSorted();
}

test("evidence is stamped once it is time and there is something new, and the bundle with it proves the time", async () => {
  const app = await open();
  await work(app);
  const first = await stampEvidence(app, { force: false });
  expect(first).toMatchObject({ kind: "stamped", stamp: { authority: "CN=Authority of the test" } });
  expect(await stampEvidence(app, { force: true })).toEqual({ kind: "unchanged" });
  await work(app);
  expect(await stampEvidence(app, { force: false })).toEqual({ kind: "later" });
  expect(await stampEvidence(app, { force: true })).toMatchObject({ kind: "stamped" });
  expect(authority.asked).toBe(2);
});

test("an authority that is away, or answers something else, stops nobody, is kept in mind, and asked again", async () => {
  const app = await open();
  const old = await (async (): Promise<Buffer> => {
    await work(app);
    let answer: Buffer = Buffer.alloc(0);
    authority.instead = async (question) => {
      answer = await authority.stamp(question);
      return { status: 200, body: answer };
    };
    await stampEvidence(app, { force: true });
    return answer;
  })();
  const wrong: [instead: TimeAuthority["instead"], reason: RegExp][] = [
    [async () => ({ status: 503, body: Buffer.alloc(0) }), /it answered 503/],
    [async () => ({ status: 200, body: old }), /not the answer to what was asked/],
    [async () => ({ status: 200, body: Buffer.from("<html>no</html>") }), /not a well-formed time stamp/],
    [async () => ({ status: 200, body: Buffer.alloc(1 << 20) }), /longer than a time stamp/],
  ];
  const stamped = (await app.journal.evidence.head())?.sequence ?? 0;
  for (const [instead, reason] of wrong) {
    authority.instead = instead;
    expect(await work(app)).toBe("done");
    await expect(stampEvidence(app, { force: true })).rejects.toThrow(reason);
    const { failingSince, error, sequence } = routeState(app.catalog, "timestamps");
    expect([failingSince === null, sequence]).toEqual([false, stamped]);
    expect(error).toMatch(reason);
  }
  authority.instead = null;
  // At once: what failed need not wait for its hour.
  expect(await stampEvidence(app, { force: false })).toMatchObject({ kind: "stamped" });
  expect(routeState(app.catalog, "timestamps")).toMatchObject({ failingSince: null, error: null });
});

test("a second place gets every entry byte for byte; one that is away gets what it lacks when it is back", async () => {
  const app = await open();
  const { writer } = app.journal.evidence;
  await work(app);
  const there = await filesIn("second", "evidence", writer);
  expect(there.length).toBeGreaterThanOrEqual(2);
  for (const name of there) expect(await readFile(at("second", "evidence", writer, name))).toEqual(await readFile(at("home/state/evidence", writer, name)));
  await rename(at("second"), at("away"));
  expect(await work(app)).toBe("done");
  expect(await work(app)).toBe("done");
  expect(notices.filter((text) => text.includes("second place"))).toHaveLength(1);
  const head = (await app.journal.evidence.head())?.sequence ?? 0;
  expect(routeState(app.catalog, "second").failingSince).not.toBeNull();
  expect(routeState(app.catalog, "second").diverged).toBe(false);
  expect(head - (routeState(app.catalog, "second").sequence ?? 0)).toBe(4);
  await rename(at("away"), at("second"));
  expect(await sendToSecond(app.journal, app.openSecond)).toEqual({ sequence: head, sent: 4 });
  expect(await filesIn("second", "evidence", writer)).toHaveLength(head);
  expect(routeState(app.catalog, "second")).toMatchObject({ failingSince: null, sequence: head });
});

/** What somebody does who has the host: the end of the log is gone, here and in the repository, and the catalog is made anew. */
async function cutOff(app: App, from: number): Promise<void> {
  const { writer } = app.journal.evidence;
  for (const parts of [
    ["home/state/evidence", writer],
    ["repo/evidence", writer],
  ])
    for (const name of await readdir(at(...parts))) if (Number(name.slice(0, 12)) >= from) await rm(at(...parts, name));
  for (const suffix of ["", "-wal", "-shm"]) await rm(at(`home/state/catalog.sqlite${suffix}`), { force: true });
}

test("a log that is cut off here and in its repository is found out by the second place, also when it has grown again; and by whoever compares a bundle with it", async () => {
  const before = await openApp({ config: at("home", "holdfast.yaml"), clock: systemClock, onNotice: () => undefined });
  const keys = await (async (): Promise<string> => {
    await writeFile(at("keys.txt"), `${before.host.signer.publicKey}\n`);
    return at("keys.txt");
  })();
  for (let i = 0; i < 3; i++) await work(before);
  const head = (await before.journal.evidence.head())?.sequence ?? 0;
  await before[Symbol.asyncDispose]();
  await cutOff(before, head - 1);
  const shorter = await open();
  await expect(sendToSecond(shorter.journal, shorter.openSecond)).rejects.toThrow(/does not agree.*cut off/);
  const bundle = at("cut.evidence");
  const pieces: Uint8Array[] = [];
  await shorter.journal.copyToRepositories();
  const repository = await shorter.repository("onsite");
  await exportBundle({ repository, now: new Date(), from: null, to: null, source: null, files: [], since: [] }, async (bytes) => void pieces.push(Buffer.from(bytes)));
  await writeFile(bundle, Buffer.concat(pieces));
  expect(await verdictOf(bundle, keys)).toEqual([0, 0]);
  expect(await verdictOf(bundle, keys, "--second", at("second"))).toEqual([1, 1]);
  for (let i = 0; i < 3; i++) await work(shorter);
  await expect(sendToSecond(shorter.journal, shorter.openSecond)).rejects.toThrow(/does not agree.*written anew/);
  expect(routeState(shorter.catalog, "second")).toMatchObject({ diverged: true });
  expect(await recordEntry(shorter.journal, "alert.raised", {})).toBeDefined();
}, 60_000);

/** Exit codes of the command and of the Python file. */
async function verdictOf(...args: [bundle: string, keys: string, ...more: string[]]): Promise<number[]> {
  const [bundle, keys, ...more] = args;
  const root = join(import.meta.dirname, "../../..");
  const code = async (program: string, ...before: string[]): Promise<number> =>
    promisify(execFile)(program, [...before, bundle, "--key", keys, ...more]).then(
      () => 0,
      (error: unknown) => Number((error as { code: unknown }).code),
    );
  return [await code(process.execPath, join(root, "src/main.ts"), "evidence", "verify"), await code("python3", join(root, "docs/verify-evidence.py"))];
}

test("a second place that is a repository is refused with the line", async () => {
  const file = at("home", "holdfast.yaml");
  await writeFile(file, (await readFile(file, "utf8")).replace(at("second"), at("repo", "deep")));
  await expect(open()).rejects.toThrow("same place as repository 'onsite'");
});
