import { mkdir, readFile, stat } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { loadInventory } from "../src/policy/load.ts";
import { REPORT_FORMATS } from "../src/cli/write-report.ts";
import { fillYearCatalog } from "./bench/year-catalog.ts";
import { writeGuideInventory } from "./bench/year-sources.ts";

/**
 * `npm run year:report`: the compliance report over a year of policies/guide.yaml for a thousand sources, by the command itself. Prints how long each format took, on the clock and of the processor (on a machine
 * with nothing else to do they are about the same), the most memory it had, and the size of the files. Ends with 1 where a bound is not held. `--dir` keeps the catalog, and takes it if it is there.
 */
const { values } = parseArgs({
  options: {
    sources: { type: "string", default: "1000" },
    played: { type: "string", default: "25" },
    days: { type: "string", default: "365" },
    dir: { type: "string" },
    format: { type: "string", multiple: true, default: ["", ...REPORT_FORMATS] },
  },
  allowPositionals: true,
});
const BOUNDS = { cpuSeconds: 60, peakBytes: 500e6 } as const;
const DAY_MS = 86_400_000;
const FROM = new Date("2025-11-01T00:00:00Z");
const until = new Date(FROM.getTime() + Number(values.days) * DAY_MS);
const root = join(import.meta.dirname, "..");

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const folder = values.dir ?? join(root, "test-tmp", `report-year-${process.pid}`);
const catalogFile = join(folder, "state/catalog.sqlite");
const inventoryFile = await writeGuideInventory(folder, Number(values.sources));
const loaded = await loadInventory(inventoryFile);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
if (!existsSync(catalogFile)) {
  say("making a year of history");
  await mkdir(join(folder, "state"), { recursive: true });
  fillYearCatalog({ file: catalogFile, sources: [...loaded.inventory.sources.values()], played: Number(values.played), from: FROM, until });
}
const results: Record<string, unknown>[] = [];
// All at once, and each by itself.
for (const format of values.format) results.push(await timeReport(format === "" ? [...REPORT_FORMATS] : [format]));
console.log(JSON.stringify({ sources: Number(values.sources), days: Number(values.days), catalogBytes: (await stat(catalogFile)).size, results }, null, 2));
const broken = results.filter(({ cpuSeconds, peakBytes }) => !(Number(cpuSeconds) <= BOUNDS.cpuSeconds) || Number(peakBytes) > BOUNDS.peakBytes);
for (const result of broken) say(`beyond ${JSON.stringify(BOUNDS)}: ${JSON.stringify(result)}`);
process.exitCode = broken.length === 0 ? 0 : 1;

async function timeReport(formats: readonly string[]): Promise<Record<string, unknown>> {
  say(`writing ${formats.join(", ")}`);
  const out = join(folder, `report-${formats.join("-")}`);
  const memory = join(folder, "memory");
  const since = performance.now();
  const period = ["--from", FROM.toISOString(), "--to", until.toISOString()];
  const { stdout } = await execa(
    process.execPath,
    [
      "--import",
      join(root, "test/support/peak-memory.ts"),
      join(root, "src/main.ts"),
      "report",
      "--config",
      inventoryFile,
      ...period,
      "--format",
      ...formats,
      "--out",
      out,
      "--json",
    ],
    { env: { PEAK_MEMORY_FILE: memory }, stdio: ["ignore", "pipe", "inherit"] },
  );
  const seconds = (performance.now() - since) / 1000;
  const { files, completeness } = JSON.parse(stdout) as { files: string[]; completeness: { promised: number; onRecord: number }[] };
  const sizes = await Promise.all(files.map(async (file) => [file.slice(out.length + 1), (await stat(file)).size] as const));
  const promised = completeness.reduce((sum, each) => sum + each.promised, 0);
  const onRecord = completeness.reduce((sum, each) => sum + each.onRecord, 0);
  const [peakKib, cpuSeconds] = (await readFile(memory, "utf8")).split("\n").map(Number);
  return { formats, seconds, cpuSeconds, peakBytes: Number(peakKib) * 1024, promised, onRecord, files: Object.fromEntries(sizes) };
}
