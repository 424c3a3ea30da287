import { createApi } from "../../src/api/server.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { systemClock } from "../../src/clock.ts";
import { keepSummary } from "../../src/compliance/source-summary.ts";
import { addDashboard } from "../../src/dashboard/dashboard.ts";
import { must } from "../../src/errors.ts";
import { loadInventory } from "../../src/policy/load.ts";
import { formatProblems } from "../../src/policy/problem.ts";
import { VERSION } from "../../src/version.ts";
import { isInScope } from "../../src/domain/access.ts";
import { look, WRITER } from "./dashboard-history.ts";

/** The server of the measurement: `dashboard-server.ts INVENTORY CATALOG`. Every source is looked at every fifteen seconds, and summed up, on the thread that answers, as in `serve`. */
const EVERY_MS = 15_000;
const [inventoryFile, catalogFile] = process.argv.slice(2);
const loaded = await loadInventory(must(inventoryFile, "an inventory"));
if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
const { inventory } = loaded;
using catalog = Catalog.open(must(catalogFile, "a catalog"));
const sources = [...inventory.sources.values()];
const common = { catalog, inventory, clock: systemClock, version: VERSION, evidenceHead: async () => null, onError: (error: unknown) => console.error(error) };
const refuse = (): Promise<never> => Promise.reject(new Error("nothing is changed here"));
// Fifty readers at one address are not the rush that the limit is meant for.
const api = await createApi({
  ...common,
  writer: WRITER,
  record: async () => undefined,
  newRunId: () => "run",
  changes: { pause: refuse, approve: refuse },
  tls: null,
  isSchedulerRunning: () => true,
  requestsPerMinute: 1_000_000,
});
addDashboard(api, {
  ...common,
  findings: [],
  evidence: async () => [],
  visibleSources: ({ identity }) => sources.filter((source) => identity !== null && isInScope(identity.scope, source)),
});
const stopped = new AbortController();
process.once("SIGTERM", () => stopped.abort());
for (const source of sources) keepSummary(catalog, source, systemClock.now());
process.send?.(await api.listen({ host: "127.0.0.1", port: 0 }));
for (let index = 0; !stopped.signal.aborted; index = (index + 1) % sources.length) {
  const now = systemClock.now();
  look(catalog, index, now);
  keepSummary(catalog, must(sources[index], "a source"), now);
  await systemClock.sleep(EVERY_MS / sources.length, stopped.signal).catch(() => undefined);
}
await api.close();
