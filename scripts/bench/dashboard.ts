import { fork } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Catalog } from "../../src/catalog/catalog.ts";
import { must } from "../../src/errors.ts";
import { openScratchFolder } from "../../test/support/scratch-folder.ts";
import { fillHistory, writeInventory } from "./dashboard-history.ts";

/**
 * `npm run bench:dashboard`: the overview of a thousand sources with two years of history behind them, read by fifty people who each wait a second between two looks.
 * The server is a process of its own, which observes every source meanwhile as `serve` does; the readers are here, on the same machine.
 */
const { values } = parseArgs({
  options: {
    sources: { type: "string", default: "1000" },
    days: { type: "string", default: "730" },
    readers: { type: "string", default: "50" },
    seconds: { type: "string", default: "30" },
  },
});
const [sources, days, readers, seconds] = [Number(values.sources), Number(values.days), Number(values.readers), Number(values.seconds)];
const SERVER = join(import.meta.dirname, "dashboard-server.ts");
const PATHS: readonly string[] = ["/", "/", "/", "/?page=2", "/?page=7", "/?state=breached", "/?q=team%3Dpayments", "/?q=source-09"];
const OTHERS: readonly string[] = ["/sources/source-0007", "/runs", "/drills", "/policies", "/metrics", "/api/v1/status?source=source-0007"];
const LIMITS = { p99Ms: 500, pageBytes: 300_000 } as const;

await using scratch = await openScratchFolder();
const file = await writeInventory(scratch.path, sources);
const catalogFile = join(scratch.path, "catalog.sqlite");
{
  using catalog = Catalog.open(catalogFile);
  const runs = fillHistory(catalog, { sources, days, now: new Date() });
  console.log(`${sources} sources, ${days} days: ${runs} runs, catalog ${(statSync(catalogFile).size / 1024 ** 2).toFixed(0)} MiB`);
}
const server = fork(SERVER, [file, catalogFile], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
const [address] = (await once(server, "message")) as [string];
const weights = await Promise.all(PATHS.map(async (path) => (await (await fetch(address + path)).arrayBuffer()).byteLength));
const latencies = (await Promise.all(Array.from({ length: readers }, (_, reader) => read(reader)))).flat().toSorted((a, b) => a - b);
const at = (share: number): number => must(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))], "an answer");
const heaviest = Math.max(...weights);
console.log(`overview, ${readers} readers with a second between two looks, ${seconds} s, ${latencies.length} answers`);
console.log(
  `  p50 ${at(0.5).toFixed(1)} ms, p90 ${at(0.9).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, max ${at(1).toFixed(1)} ms; the heaviest page ${(heaviest / 1000).toFixed(0)} kB`,
);
for (const path of OTHERS) {
  const before = performance.now();
  const response = await fetch(address + path);
  const size = (await response.arrayBuffer()).byteLength;
  console.log(`  ${path}: ${response.status}, ${(performance.now() - before).toFixed(0)} ms, ${(size / 1000).toFixed(0)} kB`);
}
server.kill("SIGTERM");
await once(server, "exit");
const holds = at(0.99) <= LIMITS.p99Ms && heaviest <= LIMITS.pageBytes;
console.log(
  holds ? `held: p99 under ${LIMITS.p99Ms} ms, pages under ${LIMITS.pageBytes / 1000} kB` : `NOT held: p99 under ${LIMITS.p99Ms} ms and pages under ${LIMITS.pageBytes / 1000} kB`,
);
process.exitCode = holds ? 0 : 1;

/** One reader: begins somewhere in the first second, looks, waits a second, looks again. Milliseconds from asking to the last byte. */
async function read(reader: number): Promise<number[]> {
  await sleep((reader / readers) * 1000);
  const until = performance.now() + seconds * 1000;
  const found: number[] = [];
  for (let look = 0; performance.now() < until; look++) {
    const started = performance.now();
    const response = await fetch(address + must(PATHS[(reader + look) % PATHS.length], "a path"));
    await response.text();
    if (response.status !== 200) throw new Error(`answered ${response.status}`);
    found.push(performance.now() - started);
    await sleep(1000);
  }
  return found;
}
