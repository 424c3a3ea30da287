import { chmod, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupView, SourceInfo } from "../../src/domain/source-info.ts";
import { expectAlike, openPlantedSite, pictureOf } from "../support/tree-site.ts";
import type { TreeSite } from "../support/tree-site.ts";

interface Damage {
  readonly ok: boolean;
  readonly damage: readonly { readonly object: string }[];
}

describe("a tree of files, when something goes wrong", () => {
  let place: TreeSite;

  beforeAll(async () => {
    place = await openPlantedSite();
  });

  afterAll(async () => place[Symbol.asyncDispose]());

  test("has a full backup to begin with", async () => {
    await place.backUp("full");
  });

  test("is brought back to a time: to the last backup before it, and to none before the first", async () => {
    const early = await place.site.run("restore", "uploads", "--to", "2020-01-01T00:00:00Z", "--target", join(place.site.folder, "early"));
    expect(early).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("no backup of uploads was whole by then") as string });
    const lsn = await place.site.run("restore", "uploads", "--to", "lsn:0/1000000", "--target", join(place.site.folder, "early"));
    expect(lsn).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("has no WAL") as string });
    await expect(readdir(join(place.site.folder, "early"))).rejects.toThrow("ENOENT");
  });

  test("fails its drill by the fault of the source where the program of the policy says no", async () => {
    const one = join(place.tree, "a/one.txt");
    const content = await readFile(one);
    await writeFile(one, "");
    await place.backUp("incr");
    const outcome = await place.site.run("drill", "uploads", "--json");
    expect(outcome.exitCode).toBe(1);
    expect(outcome.json()).toMatchObject({ verdict: "fail", fault: "source" });
    await writeFile(one, content);
    await place.backUp("incr");
  });

  test("is exposed since its newest backup began, without anybody asking the source", async () => {
    const { sources } = (await place.site.run("info", "uploads", "--json")).json<{ sources: SourceInfo[] }>();
    expect(sources[0]).toMatchObject({ kind: "files", systemIdentifier: null, windows: [], gaps: [] });
    const [exposure] = sources[0]?.exposure ?? [];
    const newest = Math.max(...(sources[0]?.backups ?? []).map(({ startedAt }) => Date.parse(startedAt)));
    expect(exposure?.seconds).toBeCloseTo((Date.parse(exposure?.observedAt ?? "") - newest) / 1000, 0);
  });

  test.each(["data", "map", "contents", "manifests"])(
    "is found to be damaged where a bit of its %s is wrong, and then its drill from there fails by the fault of the backup",
    async (kind) => {
      const folder = join(place.site.folder, "onsite/sources/uploads");
      const newest = (await readdir(join(folder, "manifests"))).toSorted().at(-1)?.replace(".json", "") ?? "";
      const found = (await readdir(join(folder, "backups", newest, kind)).catch((): string[] => []))[0];
      const file = kind === "manifests" ? join(folder, "manifests", `${newest}.json`) : join(folder, "backups", newest, kind, found ?? "");
      const before = await readFile(file);
      await chmod(file, 0o600);
      const broken = Buffer.from(before);
      const at = kind === "data" || kind === "map" ? 40 : broken.length >> 1;
      broken[at] = (broken[at] ?? 0) ^ 1;
      await writeFile(file, broken);
      try {
        const verified = await place.site.run("verify", "uploads", "--json");
        expect(verified.exitCode).toBe(1);
        expect(verified.json<Damage>().damage.some(({ object }) => file.endsWith(object))).toBe(true);
        const drilled = await place.site.run("drill", "uploads", "--from", "onsite", "--json");
        // Of a manifest that cannot be read nobody knows which backup it was: the one before is the newest.
        if (kind !== "manifests" && kind !== "contents") expect(drilled.json()).toMatchObject({ verdict: "fail", fault: "backup" });
      } finally {
        await writeFile(file, before);
      }
      expect((await place.site.run("verify", "uploads")).exitCode).toBe(0);
    },
  );

  test.each(["backup.started", "backup.copying:5", "backup.copied", "backup.before-manifest"])(
    "shows nothing of a backup that was killed at %s, and the next one clears it away",
    async (point) => {
      const before = await idsOf(place);
      const killed = await place.site.runWith({ HOLDFAST_CRASH_AT: point }, "backup", "uploads");
      expect(killed.signal, killed.stderr).toBe("SIGKILL");
      expect(await idsOf(place)).toEqual(before);
      const after = await place.backUp("incr");
      expect((await readdir(join(place.site.folder, "onsite/sources/uploads/backups"))).toSorted()).toEqual([...before, after.id].toSorted());
      expect((await place.site.run("verify", "uploads")).exitCode).toBe(0);
    },
  );

  test("a restore that was killed is begun anew, in the same folder", async () => {
    const target = join(place.site.folder, "killed");
    const killed = await place.site.runWith({ HOLDFAST_CRASH_AT: "restore.before-done" }, "restore", "uploads", "--to", "latest", "--target", target);
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    expect(await readdir(target)).toContain("holdfast-restore.incomplete");
    const again = await place.site.run("restore", "uploads", "--to", "latest", "--target", target);
    expect(again.exitCode, again.stderr).toBe(0);
    await expectAlike(await pictureOf(target), place.tree);
  });

  test("needs neither inventory nor state to come back", async () => {
    const target = join(place.site.folder, "bare");
    const outcome = await place.site.run("restore", "--repository", place.site.repository("offsite"), "--to", "latest", "--target", target, "uploads");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    await expectAlike(await pictureOf(target), place.tree);
  });

  test("goes from one repository to another by copying", async () => {
    await rm(join(place.site.folder, "offsite/sources/uploads"), { recursive: true });
    const copied = await place.site.run("copy", "uploads", "--from", "onsite", "--to", "offsite");
    expect(copied.exitCode, copied.stderr).toBe(0);
    await expectAlike((await place.restored("--from", "offsite")).picture, place.tree);
  });

  test("what only clusters have is refused with a word", async () => {
    const cases: [string[], RegExp][] = [
      [["recover", "uploads", "--target", join(place.site.folder, "r"), "--port", "5432"], /--port is for clusters/],
      [["source", "reattach", "uploads"], /is no cluster/],
      [["restore", "uploads", "--to", "latest", "--target", join(place.site.folder, "r"), "--delta"], /--delta is for clusters|is not|does not hold/],
      [["restore", "uploads", "--to", "latest", "--target", join(place.site.folder, "r"), "--cluster", "7412"], /--cluster is for clusters/],
      [["wal", "stream", "uploads"], /no log backup|no server/],
    ];
    for (const [args, message] of cases) {
      const outcome = await place.site.run(...args);
      expect(outcome.exitCode, outcome.stderr).toBeGreaterThan(0);
      expect(outcome.stderr).toMatch(message);
    }
  });

  test("of a file that is written to all the time it says so, and does not take it over unread the next time", async () => {
    const busy = join(place.tree, "busy.log");
    await writeFile(busy, "x".repeat(32 << 20));
    const writer = await open(busy, "r+");
    const done = new AbortController();
    const loop = (async () => {
      for (let i = 0; !done.signal.aborted; i++) await writer.write(String(i % 10), i % 100_000);
    })();
    try {
      const outcome = await place.site.run("backup", "uploads", "--type", "incr", "--json");
      const view = outcome.json<BackupView>();
      expect(view.tree?.changed).toBe(1);
      expect(outcome.stderr).toMatch(/changed: busy\.log was written to while it was read/);
      expect(view.state).toBe("complete");
    } finally {
      done.abort();
      await loop;
      await writer.close();
    }
    await place.backUp("incr");
    await expectAlike((await place.restored()).picture, place.tree);
  });
});

async function idsOf({ site }: TreeSite): Promise<string[]> {
  const { sources } = (await site.run("info", "uploads", "--json")).json<{ sources: SourceInfo[] }>();
  return (sources[0]?.backups ?? []).map(({ id }) => id);
}
