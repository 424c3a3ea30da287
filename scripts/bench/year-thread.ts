import { parentPort, workerData } from "node:worker_threads";
import { Catalog } from "../../src/catalog/catalog.ts";
import { simulateYear } from "./simulated-year.ts";
import { observeYear } from "./year-exposure.ts";
import { YearFates } from "./year-fates.ts";
import { accountFor, guideSources } from "./year-sources.ts";
import type { YearTask } from "./year-threads.ts";

const { kind, file, sources: count, thread, threads, from, until } = workerData as YearTask;
const say = (text: string): void => parentPort?.postMessage({ say: text });

const sources = (await guideSources(count)).filter((_, index) => index % threads === thread);
using catalog = Catalog.open(file);
if (kind === "account") parentPort?.postMessage({ answer: accountFor(catalog, sources, from, until) });
else {
  const onDay = (day: Date): void => (day.getUTCDate() === 1 ? say(`plays ${day.toISOString().slice(0, 7)}`) : undefined);
  const figures = simulateYear({ catalog, sources, from, until, fates: new YearFates(from), writer: `${thread}`.repeat(64), onDay });
  const playCpuSeconds = cpuSeconds();
  observeYear(catalog, sources, from, until, count);
  parentPort?.postMessage({ answer: { ...figures, playCpuSeconds, observeCpuSeconds: cpuSeconds() - playCpuSeconds } });
}

function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}
