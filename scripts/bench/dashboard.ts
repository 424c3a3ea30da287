import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Catalog } from "../../src/catalog/catalog.ts";
import { countRuns } from "../../src/catalog/compliance-queries.ts";
import { must } from "../../src/errors.ts";
import { openScratchFolder } from "../../test/support/scratch-folder.ts";
import { addToken, fillHistory, writeInventory } from "./dashboard-history.ts";

/**
 * `npm run bench:dashboard`: the overview of a thousand sources with two years of history behind them, read by fifty people who each wait a second between two looks.
 * Half of them have signed in and bring a cookie, the others a token; every five seconds somebody scrapes the metrics.
 * The server is a process of its own, which observes every source meanwhile as `serve` does; the readers are here, on the same machine.
 */
const { values } = parseArgs({
  options: {
    sources: { type: "string", default: "1000" },
    days: { type: "string", default: "730" },
    readers: { type: "string", default: "50" },
    seconds: { type: "string", default: "30" },
    // Made once and used again: years of a thousand sources take minutes to write.
    dir: { type: "string" },
  },
});
const [sources, days, readers, seconds] = [Number(values.sources), Number(values.days), Number(values.readers), Number(values.seconds)];
const SERVER = join(import.meta.dirname, "dashboard-server.ts");
const PATHS: readonly string[] = ["/", "/", "/", "/?page=2", "/?page=7", "/?state=breached", "/?q=team%3Dpayments", "/?q=source-09"];
const OTHERS: readonly string[] = [
  "/sources/source-0007",
  "/runs",
  "/drills",
  "/policies",
  "/storage",
  "/report?source=source-0007",
  "/api/v1/status?source=source-0007",
  "/api/v1/status",
  "/metrics",
];
const TICKS_PER_SECOND = 100;
const SCRAPE_EVERY_MS = 5000;
const LIMITS = { p99Ms: 500, pageBytes: 300_000 } as const;

await using scratch = await openScratchFolder();
const folder = values.dir ?? scratch.path;
const file = await writeInventory(folder, sources);
const catalogFile = join(folder, "catalog.sqlite");
const isFilled = existsSync(catalogFile);
const tokens = { viewer: "", metrics: "" };
{
  using catalog = Catalog.open(catalogFile);
  const runs = isFilled ? countRuns(catalog).reduce((sum, { count }) => sum + count, 0) : fillHistory(catalog, { sources, days, now: new Date() });
  for (const role of ["viewer", "metrics"] as const) tokens[role] = addToken(catalog, role, new Date());
  console.log(`${sources} sources, ${days} days: ${runs} runs, catalog ${(statSync(catalogFile).size / 1024 ** 2).toFixed(0)} MiB`);
}
const server = fork(SERVER, [file, catalogFile], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
const [address] = (await once(server, "message")) as [string];
const bearer = { authorization: `Bearer ${tokens.viewer}` };
const cookie = await signIn();
const weights = await Promise.all(PATHS.map(async (path) => (await ask(path, cookie)).bytes));
const scraping = new AbortController();
const scrapes = scrape(scraping.signal);
const began = { ms: performance.now(), cpuSeconds: cpuSecondsOf(must(server.pid, "a server")) };
const latencies = (await Promise.all(Array.from({ length: readers }, (_, reader) => read(reader)))).flat().toSorted((a, b) => a - b);
scraping.abort();
const used = { seconds: (performance.now() - began.ms) / 1000, cpuSeconds: cpuSecondsOf(must(server.pid, "a server")) - began.cpuSeconds };
const scraped = await scrapes;
const at = (share: number): number => must(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))], "an answer");
const heaviest = Math.max(...weights);
console.log(`overview, ${readers} readers with a second between two looks, ${seconds} s, ${latencies.length} answers`);
console.log(
  `  p50 ${at(0.5).toFixed(1)} ms, p90 ${at(0.9).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, max ${at(1).toFixed(1)} ms; the heaviest page ${(heaviest / 1000).toFixed(0)} kB`,
);
console.log(
  `  the server used ${used.cpuSeconds.toFixed(1)} s of a processor in ${used.seconds.toFixed(0)} s; ${availableParallelism()} processors, of which ${(loadavg()[0] ?? 0).toFixed(1)} were asked for`,
);
console.log(`  meanwhile ${scraped.length} scrapes of /metrics: ${scraped.map(({ ms }) => ms.toFixed(0)).join(", ")} ms, ${((scraped.at(-1)?.bytes ?? 0) / 1000).toFixed(0)} kB`);
for (const path of OTHERS) {
  const { status, ms, bytes } = await ask(path, bearer);
  console.log(`  ${path}: ${status}, ${ms.toFixed(0)} ms, ${(bytes / 1000).toFixed(0)} kB`);
}
server.kill("SIGTERM");
await once(server, "exit");
const holds = at(0.99) <= LIMITS.p99Ms && heaviest <= LIMITS.pageBytes;
console.log(
  holds ? `held: p99 under ${LIMITS.p99Ms} ms, pages under ${LIMITS.pageBytes / 1000} kB` : `NOT held: p99 under ${LIMITS.p99Ms} ms and pages under ${LIMITS.pageBytes / 1000} kB`,
);
process.exitCode = holds ? 0 : 1;

/** Of a process, so far: on a machine that others use too it says more than how long answers took. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) / TICKS_PER_SECOND;
}

interface Answer {
  readonly status: number;
  readonly ms: number;
  readonly bytes: number;
}

/** Milliseconds from asking to the last byte. */
async function ask(path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const started = performance.now();
  const response = await fetch(address + path, { headers });
  const bytes = (await response.arrayBuffer()).byteLength;
  return { status: response.status, ms: performance.now() - started, bytes };
}

/** As a person does: the token goes into the form, a cookie comes back. */
async function signIn(): Promise<{ cookie: string }> {
  const response = await fetch(`${address}/sign-in`, { method: "POST", body: new URLSearchParams({ token: tokens.viewer }), redirect: "manual" });
  const [opened = ""] = (response.headers.get("set-cookie") ?? "").split(";");
  if (opened === "") throw new Error(`signing in was answered ${response.status}`);
  return { cookie: opened };
}

/** One reader: begins somewhere in the first second, looks, waits a second, looks again. */
async function read(reader: number): Promise<number[]> {
  await sleep((reader / readers) * 1000);
  const until = performance.now() + seconds * 1000;
  const found: number[] = [];
  for (let look = 0; performance.now() < until; look++) {
    const { status, ms } = await ask(must(PATHS[(reader + look) % PATHS.length], "a path"), reader % 2 === 0 ? cookie : bearer);
    if (status !== 200) throw new Error(`answered ${status}`);
    found.push(ms);
    await sleep(1000);
  }
  return found;
}

async function scrape(signal: AbortSignal): Promise<Answer[]> {
  const found: Answer[] = [];
  while (!signal.aborted) {
    found.push(await ask("/metrics", { authorization: `Bearer ${tokens.metrics}` }));
    await sleep(SCRAPE_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return found;
}
