import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { splitLines } from "../../../src/compliance/bundle-lines.ts";
import { verifyBundle } from "../../../src/compliance/verify-bundle.ts";
import type { BundleCheck } from "../../../src/compliance/verify-bundle.ts";
import { exportBundle } from "../../../src/operations/evidence/export-bundle.ts";
import type { BundleOrder } from "../../../src/operations/evidence/export-bundle.ts";
import { EvidenceLog } from "../../../src/repository/evidence-log.ts";
import { STAMPED, stampFacts } from "../../../src/repository/evidence-stamp.ts";
import { keys } from "../../../src/repository/layout.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { certificatesOf, encodeStampRequest, newNonce, readTimeStamp } from "../../../src/repository/time-stamp.ts";
import { openLocalStore } from "../../../src/storage/local-store.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";
import { TimeAuthority } from "../../support/time-authority.ts";

const HOUR_MS = 3_600_000;
let fixture: RepositoryFixture;
let authority: TimeAuthority;
let forger: TimeAuthority;

/** A log of its own in a repository of its own, by one host: which has the key, and can write whatever it wants. */
class Story {
  readonly repository: WritableRepository;
  readonly log: EvidenceLog;

  constructor(repository: WritableRepository, folder: string) {
    this.repository = repository;
    this.log = new EvidenceLog(openLocalStore(folder), repository.signer);
  }

  async did(source = "orders", at = new Date()): Promise<void> {
    await this.log.append("run.finished", at, { source, outcome: "succeeded" });
  }

  /** As it is done in earnest; by another authority, or with something else in it, as nobody should. */
  async stamped({ by = authority, other = {} }: { by?: TimeAuthority; other?: { checkpoint?: Buffer; stamp?: Buffer; at?: Date } } = {}): Promise<{
    checkpoint: Buffer;
    stamp: Buffer;
    at: Date;
  }> {
    await this.log.copyTo(this.repository);
    const head = await this.log.head();
    const checkpoint = other.checkpoint ?? (await this.repository.store.read(keys.checkpoint(this.log.writer, head?.sequence ?? 0)));
    const stamp = other.stamp ?? (await by.stamp(await encodeStampRequest(createHash("sha256").update(checkpoint).digest("hex"), newNonce())));
    const made = { checkpoint, stamp, at: other.at ?? (await readTimeStamp("it", stamp)).at };
    by.asked++;
    await this.log.append(STAMPED, new Date(), stampFacts(made));
    return made;
  }

  async exported(order: Partial<BundleOrder> = {}): Promise<Buffer> {
    await this.log.copyTo(this.repository);
    const lines: Buffer[] = [];
    const all = { repository: this.repository, now: new Date(), from: null, to: null, source: null, files: [], since: [], ...order };
    await exportBundle(all, async (bytes) => void lines.push(Buffer.from(bytes)));
    return Buffer.concat(lines);
  }
}

let stories = 0;

async function story(tell: (story: Story) => Promise<unknown>, order: () => Partial<BundleOrder> = () => ({})): Promise<Buffer> {
  const own = await fixture.open();
  const folder = join(fixture.folder, `../story-${++stories}`);
  await mkdir(folder);
  const store = openLocalStore(join(folder, "repository"));
  const told = new Story({ ...own, store }, join(folder, "state"));
  await told.did();
  await told.did("users");
  await tell(told);
  return told.exported(order());
}

beforeAll(async () => {
  fixture = await openRepositoryFixture();
  const start = async (name: string): Promise<TimeAuthority> => {
    const folder = join(fixture.folder, `../${name}`);
    await mkdir(folder);
    return TimeAuthority.start(folder);
  };
  authority = await start("authority");
  forger = await start("forger");
});
afterAll(async () => {
  await authority[Symbol.asyncDispose]();
  await forger[Symbol.asyncDispose]();
  await fixture[Symbol.asyncDispose]();
});

const honest = async (told: Story): Promise<void> => {
  await told.stamped();
  await told.did();
  await told.stamped();
  await told.did("users");
};

/** What somebody who has the host and its key could do to the time, and what is to be said of it with the certificate of the authority at hand. */
const CASES: readonly [what: string, bundle: () => Promise<Buffer>, verdict: BundleCheck["verdict"]][] = [
  ["did nothing", async () => story(honest), "valid"],
  ["exported a part", async () => story(honest, () => ({ source: "users", to: new Date(Date.now() + HOUR_MS) })), "valid"],
  ["stamped with an authority of their own", async () => story(async (told) => told.stamped({ by: forger })), "invalid"],
  [
    "took an older stamp for what is newer",
    async () =>
      story(async (told) => {
        const { stamp } = await told.stamped();
        await told.did();
        await told.stamped({ other: { stamp } });
      }),
    "invalid",
  ],
  [
    "showed a stamp of another log",
    async () => {
      let foreign: { checkpoint: Buffer; stamp: Buffer; at: Date } | undefined;
      await story(async (told) => {
        await told.did("orders", new Date(0));
        foreign = await told.stamped();
      });
      return story(async (told) => {
        await told.did();
        await told.did();
        await told.stamped({ other: foreign ?? {} });
      });
    },
    "invalid",
  ],
  ["said another time than the stamp", async () => story(async (told) => told.stamped({ other: { at: new Date(Date.now() - HOUR_MS) } })), "invalid"],
  ["cut the stamp off in the middle", async () => story(async (told) => told.stamped({ other: { stamp: Buffer.from("30053003020100", "hex"), at: new Date() } })), "invalid"],
  [
    "wrote an entry later, with an earlier time",
    async () =>
      story(async (told) => {
        await told.stamped();
        await told.did("orders", new Date(Date.now() - HOUR_MS));
      }),
    "indeterminate",
  ],
  [
    "wrote an entry with a time to come",
    async () =>
      story(async (told) => {
        await told.did("orders", new Date(Date.now() + HOUR_MS));
        await told.stamped();
      }),
    "indeterminate",
  ],
];

async function check(bundle: Buffer, roots: TimeAuthority | null = authority): Promise<BundleCheck> {
  const own = await fixture.open();
  const lines = splitLines(
    (async function* () {
      yield bundle;
    })(),
  );
  return verifyBundle(lines, [own.signer], { authorities: roots === null ? null : certificatesOf(await readFile(roots.rootFile, "utf8")) });
}

const bundles = new Map<string, Buffer>();

test.each(CASES)("somebody %s", async (what, bundle, verdict) => {
  const made = await bundle();
  bundles.set(what, made);
  const { findings, ...checked } = await check(made);
  expect([checked.verdict, findings.length > 0], JSON.stringify(findings)).toEqual([verdict, verdict !== "valid"]);
});

test("a bundle says up to which entry a time is proved, and by whom; without certificates that nobody has", async () => {
  const bundle = bundles.get("did nothing") ?? Buffer.alloc(0);
  const { timeStamps } = await check(bundle);
  expect(timeStamps).toMatchObject({ count: 2, checked: true, authorities: ["CN=Authority of the test"], proved: [{ sequence: 4 }] });
  expect(Math.abs(Date.parse(timeStamps.proved[0]?.at ?? "") - Date.now())).toBeLessThan(120_000);
  expect(await check(bundle, null)).toMatchObject({ verdict: "valid", timeStamps: { count: 2, checked: false } });
  expect(await check(bundle, forger)).toMatchObject({ verdict: "invalid", timeStamps: { count: 0 } });
  // Of a part, the stamps come along: they are over what was before.
  expect(await check(bundles.get("exported a part") ?? Buffer.alloc(0))).toMatchObject({ entries: 4, timeStamps: { count: 2 } });
});

test("no byte of an entry that holds a stamp can be another", async () => {
  const bundle = bundles.get("did nothing") ?? Buffer.alloc(0);
  const at = bundle.indexOf("\n", bundle.indexOf("\n", bundle.indexOf("\n", bundle.indexOf("\n") + 1) + 1) + 1) + 1;
  const end = bundle.indexOf("\n", at);
  for (let i = at; i < end; i += Math.floor((end - at) / 40)) {
    const changed = Buffer.from(bundle);
    changed[i] = (changed[i] ?? 0) ^ 1;
    expect((await check(changed)).verdict, `byte ${i - at}`).toBe("invalid");
  }
});

test("openssl and one file of Python say the same", async () => {
  const folder = join(fixture.folder, "..");
  const put = async (name: string, content: string | Buffer): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const own = await fixture.open();
  const keyFile = await put("keys.txt", `${own.signer.publicKey}  one\n`);
  const script = join(import.meta.dirname, "../../../docs/verify-evidence.py");
  const run = async (what: string, ...more: string[]): Promise<{ code: number; text: string }> => {
    const file = await put("a.bundle", bundles.get(what) ?? "");
    return promisify(execFile)("python3", [script, file, "--key", keyFile, ...more]).then(
      ({ stdout }) => ({ code: 0, text: stdout }),
      (error: unknown) => ({ code: Number((error as { code: unknown }).code), text: String((error as { stdout: unknown }).stdout) }),
    );
  };
  const codes = { valid: 0, invalid: 1, indeterminate: 3 };
  for (const [what, , verdict] of CASES) {
    const { code, text } = await run(what, "--authority", authority.rootFile);
    expect(code, `${what}: ${text}`).toBe(codes[verdict]);
  }
  expect((await run("did nothing", "--authority", authority.rootFile)).text).toMatch(/proved: entry 4 of [0-9a-f]{16}, and all before it, was there at 20/);
  expect((await run("did nothing")).text).toContain("2 time stamps, checked against nothing");
  expect((await run("did nothing", "--authority", forger.rootFile)).code).toBe(1);
}, 60_000);
