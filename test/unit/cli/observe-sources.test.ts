import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hostname } from "node:os";
import { expect, test } from "vitest";
import { openApp } from "../../../src/app.ts";
import type { App } from "../../../src/app.ts";
import { claimScheduler } from "../../../src/catalog/scheduler-holder.ts";
import { saveSnapshot } from "../../../src/catalog/snapshots.ts";
import { systemClock } from "../../../src/clock.ts";
import { observeNow } from "../../../src/cli/observe-sources.ts";
import { isServed } from "../../../src/cli/scheduler-claim.ts";
import { notSeenLately } from "../../../src/cli/seen-lately.ts";
import type { SourceInfo } from "../../../src/domain/source-info.ts";
import { thisProcess } from "../../../src/repository/process-holder.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const NOW = new Date("2026-11-28T12:00:00Z");
const clock = { ...systemClock, now: () => NOW };

/** Many sources whose server is not there, in a repository that is not there either. */
async function openMany(folder: string, count: number): Promise<App> {
  await mkdir(join(folder, "policies"));
  const rule = (type: string): string => `  ${type}: { schedule: { every: 6h }, retention: 7d, repositories: [onsite] }`;
  await writeFile(join(folder, "policies/plain.yaml"), ["version: 1", "name: plain", "backups:", rule("full"), ""].join("\n"));
  const sources = Array.from({ length: count }, (_, index) => `  db${index}: { connection: "file:${join(folder, "url")}", policy: plain }`);
  await writeFile(join(folder, "url"), "postgres://nobody@127.0.0.1:1/postgres");
  const repository = `  onsite: { url: "file://${join(folder, "nowhere")}", encryption: { passphrase: "file:${join(folder, "url")}" } }`;
  const file = join(folder, "holdfast.yaml");
  await writeFile(file, ["version: 1", "state: ./state", "repositories:", repository, "sources:", ...sources, ""].join("\n"));
  return openApp({ config: file, clock, onNotice: () => undefined });
}

function seen(app: App, name: string, secondsAgo: number): void {
  const info: SourceInfo = { name, systemIdentifier: null, timeline: null, held: null, backups: [], windows: [], gaps: [], exposure: [], lastProof: null };
  saveSnapshot(app.catalog, new Date(NOW.getTime() - secondsAgo * 1000), info);
}

test("what serve saw within the last minute need not be looked at again; what it saw before, or by a clock that is wrong, must be", async () => {
  await using folder = await openScratchFolder();
  await using app = await openMany(folder.path, 4);
  seen(app, "db0", 5);
  seen(app, "db1", 61);
  seen(app, "db2", -3600);
  expect(notSeenLately(app, [...app.inventory.sources.values()]).map(({ name }) => name)).toEqual(["db1", "db2", "db3"]);
});

test("serve is there while its process lives and says so, and not when it was killed or has been silent", async () => {
  await using folder = await openScratchFolder();
  await using app = await openMany(folder.path, 1);
  const claim = (holder: object, secondsAgo: number): boolean => claimScheduler(app.catalog, JSON.stringify(holder), new Date(NOW.getTime() - secondsAgo * 1000), () => true);
  expect(isServed(app)).toBe(false);
  const me = thisProcess(hostname());
  claim(me, 5);
  expect(isServed(app)).toBe(true);
  claim({ ...me, startTicks: "1" }, 5);
  expect(isServed(app)).toBe(false);
  // In another container nobody can look whether it lives.
  claim({ ...me, pidNamespace: "pid:[1]" }, 5);
  expect(isServed(app)).toBe(true);
  claim({ ...me, pidNamespace: "pid:[1]" }, 46);
  expect(isServed(app)).toBe(false);
});

test("every source is looked at, many at a time, also where neither server nor repository answers", async () => {
  await using folder = await openScratchFolder();
  await using app = await openMany(folder.path, 40);
  const sources = [...app.inventory.sources.values()];
  expect(await observeNow(app, sources)).toEqual([]);
  expect(notSeenLately(app, sources)).toEqual([]);
});
