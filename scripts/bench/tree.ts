import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openScratchFolder } from "../../test/support/scratch-folder.ts";
import { openSite } from "../../test/support/site.ts";
import { measure } from "./measure.ts";

/** `npm run bench:tree`: a tree of a million small files through the real commands. What counts is the memory: the most that each process ever held. */
const { values } = parseArgs({ options: { files: { type: "string", default: "1000000" }, out: { type: "string", default: "tree.json" } } });

const PEAK_MEMORY = join(import.meta.dirname, "../../test/support/peak-memory.ts");
const FILES_A_FOLDER = 1000;
const FOLDERS_A_FOLDER = 100;
const MOST_FILE_BYTES = 1800;
const CONTENT = randomBytes(2 * MOST_FILE_BYTES);
const RULE = "retention: { keepLast: 9 }, repositories: [onsite]";
const POLICY = `objectives: { rpo: 1d, rto: 1d }
backups:
  full: { schedule: { every: 7d }, ${RULE} }
  incremental: { schedule: { every: 1d }, ${RULE} }
drills: { schedule: { every: 30d }, select: latest }
`;

interface Figure {
  readonly what: string;
  readonly seconds: number;
  readonly peakMiB: number;
}

const files = Number(values.files);
const figures: Figure[] = [];
await using scratch = await openScratchFolder();
const tree = join(scratch.path, "tree");
await plant(tree, files);
const nowhere = { url: () => "postgres://nobody@127.0.0.1:1/nothing", dataDirectory: "/nowhere", binaries: { directory: "/nowhere" } };
await using site = await openSite({
  cluster: nowhere as unknown as Parameters<typeof openSite>[0]["cluster"],
  inventoryExtra: [`  uploads: { kind: files, path: "${tree}", policy: tree }`],
  policies: { tree: POLICY },
});
const target = join(site.folder, "restored");
await run("full backup", "backup", "uploads", "--type", "full");
await run("incremental, nothing changed", "backup", "uploads", "--type", "incr");
await run("restore", "restore", "uploads", "--to", "latest", "--target", target);
await rm(target, { recursive: true });
await run("drill", "drill", "uploads");
await run("verify", "verify", "uploads");
await writeFile(values.out, `${JSON.stringify({ files, figures }, null, 2)}\n`);
console.table(figures);

async function plant(folder: string, count: number): Promise<void> {
  for (let first = 0; first < count; first += FILES_A_FOLDER) {
    const number = first / FILES_A_FOLDER;
    const inside = join(folder, `d${Math.floor(number / FOLDERS_A_FOLDER)}`, `e${number}`);
    await mkdir(inside, { recursive: true });
    const names = Array.from({ length: Math.min(FILES_A_FOLDER, count - first) }, (_, i) => first + i);
    await Promise.all(names.map(async (i) => writeFile(join(inside, `file-number-${String(i).padStart(7, "0")}.dat`), contentOf(i))));
  }
}

/** No two are alike, and none is much. */
function contentOf(i: number): Buffer {
  const at = (i * 7) % MOST_FILE_BYTES;
  return Buffer.concat([Buffer.from(`${i}\n`), CONTENT.subarray(at, at + ((i * 37) % MOST_FILE_BYTES))]);
}

async function run(what: string, ...args: string[]): Promise<void> {
  const env = { SITE_KEY: site.key, SITE_URL: "", HOLDFAST_CONFIG: site.inventory, HOLDFAST_KEY: site.key };
  const main = join(import.meta.dirname, "../../src/main.ts");
  const kept = join(scratch.path, "peak");
  const { seconds } = await measure({ file: process.execPath, args: ["--import", PEAK_MEMORY, main, ...args], env: { ...env, PEAK_MEMORY_FILE: kept } });
  const peakMiB = Math.round(Number((await readFile(kept, "utf8")).split("\n")[0]) / 1024);
  figures.push({ what, seconds: Math.round(seconds * 10) / 10, peakMiB });
  process.stderr.write(`${what}: ${seconds.toFixed(1)} s, ${peakMiB} MiB\n`);
}
