import { chmod, link, lutimes, mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import type { BackupView } from "../../src/domain/source-info.ts";
import { openScratchFolder } from "./scratch-folder.ts";
import { openSite } from "./site.ts";
import type { Site } from "./site.ts";
import { expect } from "vitest";

const run = promisify(execFile);

/** A site with one tree of files, `uploads`, in two repositories. Its cluster `db` is nowhere, and nobody asks it. */
export interface TreeSite extends AsyncDisposable {
  readonly site: Site;
  readonly tree: string;
  backUp(type: "full" | "incr" | "diff"): Promise<BackupView>;
  /** Restored to latest, into a folder of its own, with more options. */
  restored(...more: string[]): Promise<{ folder: string; picture: string }>;
}

const RULE = "retention: { keepLast: 9 }, repositories: [onsite, offsite]";

async function openTreeSite(checks = "[]"): Promise<TreeSite> {
  await using resources = new AsyncDisposableStack();
  const tree = join(resources.use(await openScratchFolder()).path, "tree");
  await mkdir(tree);
  const nowhere = { url: () => "postgres://nobody@127.0.0.1:1/nothing", dataDirectory: "/nowhere", binaries: { directory: "/nowhere" } };
  const site = resources.use(
    await openSite({
      cluster: nowhere as unknown as Parameters<typeof openSite>[0]["cluster"],
      repositories: ["onsite", "offsite"],
      inventoryExtra: [`  uploads: { kind: files, path: "${tree}", policy: tree, exclude: ["cache/", "*.tmp"] }`],
      policies: {
        tree: `objectives: { rpo: 1d, rto: 1h }
backups:
  full: { schedule: { every: 7d }, ${RULE} }
  incremental: { schedule: { every: 1d }, ${RULE} }
  differential: { schedule: { every: 6h }, ${RULE} }
drills: { schedule: { every: 30d }, select: latest, checks: ${checks} }
`,
      },
    }),
  );
  const held = resources.move();
  let restores = 0;
  return {
    site,
    tree,
    backUp: async (type) => {
      const outcome = await site.run("backup", "uploads", "--type", type, "--json");
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      return outcome.json<BackupView>();
    },
    restored: async (...more) => {
      const folder = join(site.folder, `restored-${restores++}`);
      const outcome = await site.run("restore", "uploads", "--to", "latest", "--target", folder, "--json", ...more);
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      return { folder, picture: await pictureOf(folder) };
    },
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

/** What changed so shortly before a backup is read again by the next one. */
const SETTLED_MS = 2500;

/** With everything in the tree, settled; its drill runs a program that looks for a file in what was restored. */
export async function openPlantedSite(): Promise<TreeSite> {
  const place = await openTreeSite('[{ command: ["/bin/sh", "-c", "test -s $HOLDFAST_DRILL_FOLDER/a/one.txt"] }]');
  await plantTree(place.tree);
  await setTimeout(SETTLED_MS);
  return place;
}

/** One of everything that a tree may have, and a few hundred ordinary files. */
async function plantTree(tree: string): Promise<void> {
  for (const folder of ["a/b", "a-b", "many", "cache"]) await mkdir(join(tree, folder), { recursive: true });
  const files: Record<string, string | Buffer> = {
    "a/one.txt": "hello",
    "a/b/empty": "",
    "a-b/x": "x",
    "a/per%cent": "pc",
    "a/back\\slash": "bs",
    "a/new\nline": "nl",
    "a/ünï": "utf",
    "cache/no": "excluded",
    "a/no.tmp": "excluded",
    big: Buffer.alloc(3 << 20, "0123456789abcdef"),
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(tree, name), content);
  await writeFile(Buffer.concat([Buffer.from(`${tree}/a/bad`), Buffer.from([0xff, 0xfe])]), "no UTF-8");
  for (let i = 0; i < 300; i++) await writeFile(join(tree, "many", `f${i}`), String(i).repeat(i * 7));
  await writeFile(join(tree, "sparse"), "");
  await truncate(join(tree, "sparse"), 20 << 20);
  await link(join(tree, "a/one.txt"), join(tree, "z-hard"));
  await symlink("a/one.txt", join(tree, "link"));
  await symlink("/nowhere/at all", join(tree, "dangling"));
  await symlink("a", join(tree, "dirlink"));
  await run("mkfifo", [join(tree, "pipe")]);
  await chmod(join(tree, "a/one.txt"), 0o640);
  await chmod(join(tree, "a/b"), 0o555);
  await lutimes(join(tree, "dangling"), 1_000_000_000, 1_000_000_000);
}

/** Every name below a folder with type, permissions, owner, size, time and target; and the digests of files. What is left out of a backup is left out here. */
export async function pictureOf(folder: string): Promise<string> {
  const skip = ["(", "-path", "./cache", "-o", "-name", "*.tmp", "-o", "-type", "p", ")", "-prune", "-o"];
  const listed = await run("find", [".", ...skip, "-printf", "%P|%y|%m|%U|%G|%T@|%l\n"], { cwd: folder, encoding: "latin1", maxBuffer: 1 << 28 });
  const sums = await run("sh", ["-c", "find . \\( -path ./cache -o -name '*.tmp' \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"], {
    cwd: folder,
    encoding: "latin1",
    maxBuffer: 1 << 28,
  });
  return `${listed.stdout.split("\n").toSorted().join("\n")}\n${sums.stdout}`;
}

/** Node sets times to the microsecond, by way of a floating-point number. */
const TIME_TOLERANCE_SECONDS = 2e-6;
const TIME = /\|(\d+\.\d+)\|/g;

/** A folder looks as a picture says, all but the last digits of its times. */
export async function expectAlike(picture: string, folder: string): Promise<void> {
  const wanted = await pictureOf(folder);
  const times = [...wanted.matchAll(TIME)].map(([, time]) => Number(time));
  let i = 0;
  const alike = picture.replaceAll(TIME, (found, time: string) => {
    const other = times[i++] ?? 0;
    return Math.abs(Number(time) - other) <= TIME_TOLERANCE_SECONDS ? "|same|" : found;
  });
  expect(alike).toBe(wanted.replaceAll(TIME, "|same|"));
}
