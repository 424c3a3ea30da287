import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MapEntry } from "../../src/domain/file-map.ts";
import type { Manifest } from "../../src/repository/manifest.ts";
import { FORGED_ID, forgeBackup, readSettings } from "../support/hostile-repository.ts";
import type { Forgery } from "../support/hostile-repository.ts";
import { HostileSite } from "../support/hostile-site.ts";
import type { HostileCopy } from "../support/hostile-site.ts";
import { describePostgres } from "../support/postgres-suite.ts";

/**
 * A repository that somebody else wrote in: one who has the passphrase and a host that was admitted (all is signed and sealed as it should be, and lies), or a thief without any key.
 * Whatever lies there, a command refuses it in words, in bounded time and memory; and a restore writes nothing outside its target, and leaves nothing that could be started.
 */
describePostgres("a hostile repository", {}, (binaries) => {
  let hostile: HostileSite;
  beforeAll(async () => void (hostile = await HostileSite.open(binaries)));
  afterAll(async () => hostile[Symbol.asyncDispose]());

  test("a forged backup that is true in all it says is restored: what follows is refused for what it says", async () => {
    await using planted = await hostile.copy();
    await forgeBackup(planted.repository, planted.base, { files: { "//settings.json": await settingsOf(planted, (settings) => settings) } });
    const verified = await planted.run("verify", "--json");
    expect(verified.exitCode, verified.stdout).toBe(0);
    const restored = await planted.restore("--backup", FORGED_ID);
    expect(restored.exitCode, restored.stderr).toBe(0);
  });

  async function settingsOf(planted: HostileCopy, change: (settings: Record<string, unknown>) => unknown): Promise<string> {
    return JSON.stringify(change(await readSettings(planted.repository, planted.base)));
  }

  const file = (path: string, length = 0, runs: Extract<MapEntry, { type: "file" }>["runs"] = []): MapEntry => ({ type: "file", path, length, runs });
  const add =
    (...entries: MapEntry[]): Forgery["map"] =>
    (_, late) =>
      void late.push(...entries);
  const insert =
    (...entries: MapEntry[]): Forgery["map"] =>
    (main) => {
      main.push(...entries);
      main.sort((a, b) => (a.path < b.path ? -1 : 1));
    };

  /** Says that there are more bytes, so that a further file is no matter. */
  const roomy = (manifest: Manifest): object => ({ sizes: { ...manifest.sizes, sourceBytes: manifest.sizes.sourceBytes + (1 << 20) } });

  describe("whose map", () => {
    const CASES: Readonly<Record<string, { map: Forgery["map"]; manifest?: Forgery["manifest"]; says: RegExp }>> = {
      "names a path that leaves the target": { map: add(file("base/../../decoy/file")), says: /unsafe path/ },
      "names an absolute path": { map: add(file("/tmp/holdfast-hostile")), says: /unsafe path/ },
      "names a path with a NUL": { map: add(file("base/1\0")), says: /unsafe path/ },
      "names a folder of ours that is to be written": { map: add({ type: "directory", path: "//decoy" }), says: /is no file/ },
      "names a file twice, once late": { map: add(file("PG_VERSION")), says: /twice/ },
      "names a file twice in a row": { map: (main) => void main.push({ ...(main.at(-1) as MapEntry) }), says: /order/ },
      "is out of order": { map: (main) => void main.push(file("base/1")), says: /order/ },
      "has a file where a folder must be": { map: insert(file("base/5")), says: /order|twice|no folder/ },
      "has a file in a folder that is not named": { map: insert(file("base/77777/1")), says: /no folder/ },
      "has a file below a file": { map: insert(file("PG_VERSION/1")), says: /no folder/ },
      "has a folder where pg_control must be": {
        map: (_, late) =>
          void late.splice(
            late.findIndex(({ path }) => path === "global/pg_control"),
            1,
            { type: "directory", path: "global/pg_control" },
          ),
        says: /pg_control/,
      },
      "has no pg_control": {
        map: (_, late) =>
          void late.splice(
            late.findIndex(({ path }) => path === "global/pg_control"),
            1,
          ),
        says: /pg_control/,
      },
      "has no settings": {
        map: (_, late) =>
          void late.splice(
            late.findIndex(({ path }) => path === "//settings.json"),
            1,
          ),
        says: /settings/,
      },
      "gives a file 2^50 bytes in one run": { map: add(file("base/1/77777", 2 ** 50, [{ blocks: 2 ** 37, at: null }])), says: /bytes/ },
      "gives files more bytes than the manifest says": { map: add(file("base/1/77777", 2 ** 38, [{ blocks: 2 ** 25, at: null }])), says: /bytes/ },
      "has runs that overflow": {
        manifest: roomy,
        map: add(
          file(
            "base/1/77777",
            8192,
            Array.from({ length: 3 }, () => ({ blocks: Number.MAX_SAFE_INTEGER, at: null })),
          ),
        ),
        says: /blocks|more bytes/,
      },
      "refers to a block that an extent does not have": {
        manifest: roomy,
        map: add(file("base/1/77777", 8192, [{ blocks: 1, at: { backup: FORGED_ID, pack: 7, frame: 0, block: 2 ** 40 } }])),
        says: /not there|no block|shorter/,
      },
      ...Object.fromEntries(
        ["standby.signal", "postmaster.opts", "holdfast-restore.incomplete", "pg_wal/000000010000000000000001"].map((path) => [
          `has the file ${path}, which no backup has`,
          { map: add(file(path)), says: /no backup of ours|no folder/ },
        ]),
      ),
      "has files in the folder of staged WAL": { map: insert({ type: "directory", path: "holdfast-wal" }, file("holdfast-wal/staged")), says: /no backup of ours|no folder/ },
    };

    test.each(Object.entries(CASES))("%s", async (_, { map, manifest, says }) => {
      await using planted = await hostile.copy();
      await forgeBackup(planted.repository, planted.base, { ...(map === undefined ? {} : { map }), ...(manifest === undefined ? {} : { manifest }) });
      await Promise.all([planted.expectRefused(says, "--backup", FORGED_ID), planted.expectFound(says)]);
    });
  });

  describe("whose tablespace", () => {
    const place = (target: string): Forgery["map"] => insert({ type: "tablespace", path: "pg_tblspc/16400", target });
    const CASES: Readonly<Record<string, { map: (planted: HostileCopy) => Forgery["map"]; says: RegExp; verifies?: boolean }>> = {
      "is the target": { map: ({ target }) => place(target), says: /one in the other/ },
      "lies in the target": { map: ({ target }) => place(join(target, "base")), says: /one in the other/ },
      "has the target in it": { map: ({ around }) => place(around), says: /one in the other/ },
      "is another's": {
        map: ({ around }) =>
          insert({ type: "tablespace", path: "pg_tblspc/16400", target: join(around, "a") }, { type: "tablespace", path: "pg_tblspc/16401", target: join(around, "a/b") }),
        says: /one in the other/,
      },
      "is /etc": { map: () => place("/etc"), says: /operating system/ },
      "would be a new folder in /etc": { map: () => place("/etc/holdfast-hostile"), says: /operating system/ },
      "has a line's end in its name": { map: ({ around }) => place(join(around, "a\n16401 /etc")), says: /cannot be the folder/ },
      "has a NUL in its name": { map: ({ around }) => place(join(around, "a\0b")), says: /cannot be the folder/ },
      "is not empty": { map: ({ around }) => place(join(around, "decoy")), says: /not empty/ },
      "holds files that are not in its own folder": {
        map: ({ around }) => insert({ type: "tablespace", path: "pg_tblspc/16400", target: join(around, "space") }, file("pg_tblspc/16400/holdfast-hostile")),
        says: /no folder/,
      },
      "is named by something else": { map: ({ around }) => insert({ type: "tablespace", path: "base/16400", target: join(around, "space") }), says: /no place for a tablespace/ },
    };

    test.each(Object.entries(CASES))("%s", async (_, { map, says }) => {
      await using planted = await hostile.copy();
      const changed = map(planted);
      await forgeBackup(planted.repository, planted.base, changed === undefined ? {} : { map: changed });
      await planted.expectRefused(says, "--backup", FORGED_ID);
    });

    test("and the map of tablespaces for the server name others: links that the server would make at its start", async () => {
      for (const map of ["16400 /etc\n", "../../../decoy/link /tmp\n", `16400 /a\\\n16401 /b\n`]) {
        await using planted = await hostile.copy();
        await forgeBackup(planted.repository, planted.base, { files: { tablespace_map: map } });
        await planted.expectRefused(/tablespace_map/, "--backup", FORGED_ID);
      }
    });
  });

  describe("whose settings", () => {
    const EVIL = "holdfast_evil";
    test("would run commands, load libraries or read other files: none of it is in the restored configuration", async () => {
      await using planted = await hostile.copy();
      const names = [
        "archive_command",
        "restore_command",
        "archive_cleanup_command",
        "ssl_passphrase_command",
        "shared_preload_libraries",
        "archive_library",
        "jit_provider",
        "include",
      ];
      const plain = [...names, "include_dir", "include_if_exists", "hba_file", "data_directory", "dynamic_library_path", "primary_conninfo", "a_new_command", "other.library"];
      const settings = [
        ...plain.flatMap((name) => [name, name.toUpperCase()]).map((name) => ({ name, value: `/${EVIL}` })),
        { name: `work_mem\ninclude '/${EVIL}'\n#`, value: "1" },
        { name: `work_mem = 1 include '/${EVIL}' #`, value: "1" },
        { name: "work_mem", value: `1'\nshared_preload_libraries = '${EVIL}` },
        { name: "shared_preload_libraries", value: `x\nshared_preload_libraries=${EVIL}\n#` },
        { name: "archive_command", value: `x\rarchive_command=${EVIL}` },
        { name: "port", value: `5432\ninclude=${EVIL}` },
      ].map((setting) => ({ ...setting, source: "configuration file", file: null }));
      await forgeBackup(planted.repository, planted.base, { files: { "//settings.json": await settingsOf(planted, (before) => ({ ...before, settings })) } });
      const restored = await planted.restore("--backup", FORGED_ID);
      expect(restored.exitCode, restored.stderr).toBe(0);
      for (const name of ["postgresql.conf", "postgresql.auto.conf"]) {
        const lines = (await readFile(join(planted.target, name), "utf8")).split(/[\n\r]/);
        expect(lines.filter((line) => !line.startsWith("#") && line.includes(EVIL))).toEqual([]);
      }
    });

    test.each([
      ["are no JSON", "{"],
      ["are something else", "[]"],
      ["are longer than any", Buffer.alloc(17 << 20, " ")],
    ])("%s", async (_, content) => {
      await using planted = await hostile.copy();
      await forgeBackup(planted.repository, planted.base, { files: { "//settings.json": content } });
      await planted.expectRefused(/damaged/, "--backup", FORGED_ID);
    });
  });
});
