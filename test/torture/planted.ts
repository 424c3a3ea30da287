import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openScratchFolder } from "../support/scratch-folder.ts";

/**
 * Bugs that others have shipped, planted in a copy of our own program: a torture test that does not catch them proves nothing by finding nothing.
 * Each is one exact edit of one file. Where the text to edit is no longer there exactly once, planting fails: the list is then to be brought up to date, never to be made looser.
 */
export interface Plant {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly instead: string;
}

export const PLANTS: readonly Plant[] = [
  {
    name: "drop an extent",
    file: "operations/restore/fill-files.ts",
    text: "return (work.frames.get(index) ?? []).map((placement) => {",
    instead: "return (index % 25 === 24 ? [] : (work.frames.get(index) ?? [])).map((placement) => {",
  },
  {
    name: "skip truncation",
    file: "operations/backup/copy-plan.ts",
    text: "changed === null ? total : changed.limitBlock - firstOfSegment",
    instead: "total",
  },
  {
    name: "stale page",
    file: "operations/backup/copy-plan.ts",
    text: "if (block >= fromHere) break;",
    instead: "if (block >= fromHere) break;\n      if (block % 5 === 2) continue;",
  },
  {
    name: "stale visibility map",
    file: "operations/backup/copy-plan.ts",
    text: '(file.fork !== "main" && file.fork !== "init")',
    instead: '(file.fork !== "main" && file.fork !== "init" && file.fork !== "vm")',
  },
  {
    name: "wrong timeline",
    file: "postgres/restored-config.ts",
    text: "recovery_target_timeline = ${quote(String(options.timeline))}",
    instead: "recovery_target_timeline = 'latest'",
  },
  {
    name: "lost part",
    file: "operations/wal/wal-store.ts",
    text: 'crashPoint("wal.before-part");',
    instead: 'crashPoint("wal.before-part");\n  if (from > 0) return `${keys.segmentParts(store.place.source, store.place.systemIdentifier, segment)}lost`;',
  },
];

export interface PlantedProgram extends AsyncDisposable {
  /** Its `main.ts`. */
  readonly main: string;
}

const ROOT = join(import.meta.dirname, "..", "..");

export async function plant({ name, file, text, instead }: Plant): Promise<PlantedProgram> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await openScratchFolder()).path;
  await cp(join(ROOT, "src"), join(folder, "src"), { recursive: true });
  await cp(join(ROOT, "package.json"), join(folder, "package.json"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const path = join(folder, "src", file);
  const before = await readFile(path, "utf8");
  const pieces = before.split(text);
  if (pieces.length !== 2) throw new Error(`${file} has the place for "${name}" ${pieces.length - 1} times, not once: ${text}`);
  await writeFile(path, pieces.join(instead));
  const held = resources.move();
  return { main: join(folder, "src", "main.ts"), [Symbol.asyncDispose]: async () => held.disposeAsync() };
}
