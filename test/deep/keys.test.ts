import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { findPython, MANUAL_RESTORE_NEEDS, manualRestore } from "../support/manual-restore.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf, untilDurable } from "../support/site-state.ts";

const BOB = "bbbbb-fghij-klmno-pqrst-uvwxy-z2345";
const python = await findPython();

/** A repository with a full, an incremental and WAL; then one recipient goes, the key is rotated, and work goes on. */
describePostgres("a repository whose key was rotated", {}, (binaries) => {
  let resources: AsyncDisposableStack | undefined;
  let source: Cluster;
  let site: Site;
  /** The only key that the bare machine has: that of a recipient. */
  let ann: string;
  let root: string;
  let bobs: string;
  const backups: { id: string; type: string; parentId: string | null; digest: ClusterDigest }[] = [];
  let atEnd: ClusterDigest;
  let restores = 0;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, env: { BOB } }));
    root = join(site.folder, "onsite");
    ann = await generateX25519Identity();
    await done("key", "add", "--recipient", await identityToRecipient(ann), "--label", "ann", "--kept-at", "her token");
    await done("key", "add", "--passphrase", "env:BOB", "--label", "bob");
    await source.sql("create table t as select g, md5(g::text) as text from generate_series(1, 5000) g");
    await backUp("full");
    await source.sql("update t set text = 'changed' where g % 50 = 0");
    await backUp("incr");
    await stream("insert into t select g, 'streamed before' from generate_series(10001, 10500) g");
    bobs = (await readdir(join(root, "keys"), { recursive: true })).find((path) => /bob.*\.age$/.test(path)) ?? "";
    const kept = await readFile(join(root, "keys", bobs));
    await done("key", "remove", "bob");
    await done("key", "rotate");
    // Bob kept his age file.
    await writeFile(join(site.folder, "bobs.age"), kept);
    await source.sql("delete from t where g % 13 = 0");
    await backUp("incr");
    await backUp("full");
    await stream("insert into t select g, 'streamed after' from generate_series(20001, 20500) g");
    atEnd = await digestDatabases(source.url());
    resources = stack.move();
  });

  afterAll(async () => resources?.disposeAsync());

  async function done(...args: string[]): Promise<Outcome> {
    const outcome = await site.run(...args);
    expect(outcome.exitCode, `${args.join(" ")}: ${outcome.stderr}`).toBe(0);
    return outcome;
  }

  async function backUp(type: string): Promise<void> {
    const made = (await done("backup", "--type", type, "--json")).json<{ id: string; type: string; parentId: string | null }>();
    backups.push({ ...made, digest: await digestDatabases(source.url()) });
  }

  async function stream(sql: string): Promise<void> {
    const running = site.start({}, "wal", "stream");
    await source.sql(sql);
    await untilDurable(site);
    running.process.kill("SIGTERM");
    expect(await running.ended()).toMatchObject({ exitCode: 0 });
  }

  /** With one key in the environment, the address of the repository, and nothing else. */
  async function bare(key: string, ...args: string[]): Promise<Outcome> {
    return site.runWith({ HOLDFAST_CONFIG: "/nowhere/holdfast.yaml", SITE_KEY: "", HOLDFAST_KEY: key }, ...args, "--repository", site.repository());
  }

  async function digestOf(folder: string): Promise<ClusterDigest> {
    await using restored = await startOnFolder(folder, { binaries, leftRecovery: true });
    return await digestDatabases(restored.url());
  }

  test("goes on where it was: the next incremental refers to one from before", () => {
    expect(backups.map(({ type }) => type)).toEqual(["full", "incremental", "incremental", "full"]);
    expect(backups[2]?.parentId).toBe(backups[1]?.id);
  });

  test("gives every backup, and everything after, to a bare machine with a key of the new ones alone", async () => {
    expect((await bare(ann, "verify", "--json")).json()).toMatchObject({ ok: true, tier: "pages", damage: [] });
    for (const { id, digest } of backups) {
      const folder = join(site.folder, `restored-${++restores}`);
      expect(await bare(ann, "restore", "--to", "immediate", "--backup", id, "--target", folder)).toMatchObject({ exitCode: 0 });
      expect(await digestOf(folder), id).toEqual(digest);
    }
    const folder = join(site.folder, `restored-${++restores}`);
    // From the oldest full, over all WAL, of both keys.
    expect(await bare(ann, "restore", "--to", "latest", "--backup", backups[0]?.id ?? "", "--target", folder)).toMatchObject({ exitCode: 0 });
    expect(await digestOf(folder)).toEqual(atEnd);
  });

  const byHand = "is read by a page of Python, with a passphrase and with an age key";
  if (python === null) test.skip(`${byHand}: ${NOT_RUN}${MANUAL_RESTORE_NEEDS}`);
  else
    test(byHand, async () => {
      for (const [key, backup, expected] of [
        [site.key, backups[0], atEnd],
        [ann, backups[2], atEnd],
      ] as const) {
        const folder = join(site.folder, `restored-${++restores}`);
        await manualRestore(python, key, root, folder, "--backup", backup?.id ?? "");
        await giveToServerUser(folder);
        expect(await digestOf(folder)).toEqual(expected);
      }
    });

  test("gives whoever was removed, and kept his key, what was written before, and nothing after", async () => {
    const object = join(root, "keys", bobs);
    await writeFile(object, await readFile(join(site.folder, "bobs.age")));
    try {
      const folder = join(site.folder, `restored-${++restores}`);
      // The segment after the incremental was not full at the rotation, and is sealed to the new key: the full is what its own WAL and the next segment bring back.
      expect(await bare(BOB, "restore", "--to", "immediate", "--backup", backups[0]?.id ?? "", "--target", folder)).toMatchObject({ exitCode: 0, stderr: "" });
      for (const { id } of backups.slice(2)) {
        const refused = await bare(BOB, "restore", "--to", "immediate", "--backup", id, "--target", join(site.folder, "refused"));
        expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/error\[HF-KEY\].*hint: the passphrase given opens older keys only/s) as string });
      }
    } finally {
      await rm(object);
    }
  });

  test("is proven by a stranger with the recovery sheet and a key, and the sheet holds no secret", async () => {
    const { stdout: sheet } = await done("recovery-sheet");
    expect(sheet).toContain("ann: the age key of age1");
    expect(sheet).toContain("kept at: her token");
    expect(sheet).not.toMatch(/AGE-SECRET-KEY-1[A-Z0-9]{8}|abcde-fghij|bbbbb-fghij/);
    const asStranger = async (name: string, text: string): Promise<Outcome> => {
      await writeFile(join(site.folder, name), text);
      const scratch = await mkdtemp(join(site.folder, "stranger-"));
      await giveToServerUser(scratch);
      const environment = { HOLDFAST_CONFIG: "/nowhere/holdfast.yaml", SITE_KEY: "", HOLDFAST_KEY: ann };
      return site.runWith(environment, "drill", "--as-stranger", join(site.folder, name), "--scratch", scratch, "--binaries", binaries.directory, "--json");
    };
    expect((await asStranger("sheet.txt", sheet)).json()).toMatchObject({ verdict: expect.stringMatching(/^pass/) as string, backupId: backups[3]?.id });
    const { keyId } = (await done("key", "list", "--json")).json<{ keyId: string }>();
    expect(await asStranger("other.txt", sheet.replaceAll(keyId, "0".repeat(32)))).toMatchObject({
      exitCode: 2,
      stdout: expect.stringContaining("does not have the key of onsite") as string,
    });
    expect(await asStranger("half.txt", sheet.slice(0, -60))).toMatchObject({ exitCode: 2, stdout: expect.stringContaining("that is no recovery sheet") as string });
  });

  test("shows in the list of keys, without the one that was removed", async () => {
    const listing = (await done("key", "list", "--json")).json<{ keys: unknown[]; recipients: { label: string }[] }>();
    expect(listing.keys.length).toBe(2);
    expect(listing.recipients.map(({ label }) => label).toSorted()).toEqual(["ann", "passphrase"]);
    expect((await infoOf(site)).gaps).toEqual([]);
  });
});
