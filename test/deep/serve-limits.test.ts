import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { listRuns } from "../../src/catalog/runs.ts";
import type { Run } from "../../src/catalog/runs.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

/** Real `serve` over trees of files: what limits, windows, pauses and tries do to work that is due. */

const FULL = (repository: string): string => `objectives: { rpo: 9d, rto: 1d }\nbackups:\n  full: { schedule: { every: 7d }, retention: 30d, repositories: [${repository}] }\n`;
/** Each backup says when it begins and ends, and takes some seconds. */
const HOOKS = "hooks: { beforeBackup: [./begin.sh], afterBackup: [./end.sh], onFailure: [./end.sh], timeout: 60s }\n";
const NEVER = 'windows: { blackout: [{ from: "2020-01-01T00:00Z", to: "2090-01-01T00:00Z", reason: migration }] }\n';
const EVENTUALLY_MS = 240_000;
const TREE_BYTES = 6_000_000;

/** Two hours around now, and two hours half a day away: which of two rules counts depends on the time of day. */
function hoursAround(offsetHours: number): string {
  const hour = (new Date().getUTCHours() + offsetHours + 23) % 24;
  const clock = (of: number): string => `${String(of % 24).padStart(2, "0")}:00`;
  return `${clock(hour)}-${clock(hour + 3)}`;
}

/** Most of those that were at work at the same time. */
function mostAtOnce(events: readonly { readonly kind: string; readonly source: string }[], sources: string): number {
  let [now, most] = [0, 0];
  for (const { kind, source } of events) {
    if (!sources.includes(source)) continue;
    now += kind === "begin" ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

test("serve keeps to limits of host and repository, waits for blackouts and pauses, writes no faster than the time of day allows, and tries again what failed", async () => {
  await using trees = await openScratchFolder();
  for (const name of "abcdefgh") {
    await mkdir(join(trees.path, name));
    await writeFile(join(trees.path, name, "file"), randomBytes(name === "h" ? TREE_BYTES : 1000));
  }
  const source = (name: string, policy: string): string => `  ${name}: { kind: files, path: "${join(trees.path, name)}", policy: ${policy} }`;
  const paced = `[{ daily: "${hoursAround(0)}", rate: 1MB/s }, { daily: "${hoursAround(12)}", rate: 10KB/s }]`;
  const nowhere = { url: () => "postgres://nobody@127.0.0.1:1/nothing", dataDirectory: "/nowhere", binaries: { directory: "/nowhere" } };
  await using site = await openSite({
    cluster: nowhere as unknown as Parameters<typeof openSite>[0]["cluster"],
    repositories: ["onsite", "offsite", "paced"],
    places: { paced: `url: "file://${join(trees.path, "paced")}", bandwidth: ${paced}` },
    policy: FULL("onsite") + NEVER,
    policies: { wide: FULL("onsite") + HOOKS, narrow: FULL("offsite") + HOOKS, dark: FULL("onsite") + NEVER, slow: FULL("paced"), plainly: FULL("onsite") },
    inventoryExtra: [
      ..."abcd".split("").map((name) => source(name, "wide")),
      ..."ef".split("").map((name) => source(name, "narrow")),
      source("g", "dark"),
      source("h", "slow"),
      // Its tree is not there yet.
      source("i", "plainly"),
      "limits: { host: { backups: 3 }, repositories: { offsite: 1 } }",
    ],
  });
  const events = join(site.folder, "events");
  for (const kind of ["begin", "end"]) {
    const script = join(site.folder, `${kind}.sh`);
    await writeFile(script, `#!/bin/sh\necho "$(date +%s%N) ${kind} $HOLDFAST_SOURCE" >> events\n${kind === "begin" ? "sleep 3" : ""}\n`);
    await chmod(script, 0o755);
  }
  expect(await site.run("pause", "a", "--reason", "storage is moved", "--until", "4h")).toMatchObject({ exitCode: 0 });
  const serving = site.start({}, "serve");
  const eventually = async (what: string, holds: () => boolean): Promise<void> => {
    const until = Date.now() + EVENTUALLY_MS;
    while (!holds()) {
      if (Date.now() > until) throw new Error(`not within ${EVENTUALLY_MS} ms: ${what}\n${serving.output().slice(-4000)}`);
      await new Promise((resolve) => {
        setTimeout(resolve, 300);
      });
    }
  };
  const done = (name: string): boolean => backupsOf(site, name).some(({ outcome }) => outcome === "succeeded");

  await eventually("a backup whose source is not there has failed", () => backupsOf(site, "i").some(({ outcome }) => outcome === "failed"));
  await mkdir(join(trees.path, "i"));
  await writeFile(join(trees.path, "i/file"), "here it is");
  await eventually("all that may run has run", () => "bcdefh".split("").every(done));

  // Those in a pause or a blackout have not even begun; and go on as soon as it is over.
  expect("ag".split("").flatMap((name) => backupsOf(site, name))).toEqual([]);
  expect(await site.run("resume", "a")).toMatchObject({ exitCode: 0 });
  await writeFile(join(site.folder, "policies/dark.yaml"), `version: 1\nname: dark\n${FULL("onsite")}`);
  await eventually("what was held back has run", () => "ag".split("").every(done));

  await eventually("what failed has been tried again", () => done("i"));
  const [second, first] = backupsOf(site, "i");
  expect([first, second].map((run) => [run?.outcome, run?.attempt])).toEqual([
    ["failed", 1],
    ["succeeded", 2],
  ]);
  expect(second?.scheduledFor).toBe(first?.scheduledFor);
  expect(Date.parse(second?.startedAt ?? "") - Date.parse(first?.finishedAt ?? "")).toBeGreaterThanOrEqual(60_000);

  const log = (await readFile(events, "utf8"))
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
    .map(([at = "", kind = "", name = ""]) => ({ at: BigInt(at), kind, source: name }))
    .toSorted((x, y) => (x.at < y.at ? -1 : 1));
  expect(mostAtOnce(log, "ef")).toBe(1);
  expect(mostAtOnce(log, "abcdef")).toBeGreaterThan(1);
  expect(mostAtOnce(log, "abcdef")).toBeLessThanOrEqual(3);

  // One megabyte a second, not ten kilobytes, which is the rule of another time of day.
  const [written] = backupsOf(site, "h");
  const seconds = (Date.parse(written?.finishedAt ?? "") - Date.parse(written?.startedAt ?? "")) / 1000;
  expect(seconds).toBeGreaterThan((TREE_BYTES / 1e6) * 0.7);
  expect(seconds).toBeLessThan(TREE_BYTES / 10_000);

  serving.process.kill("SIGTERM");
  expect((await serving.ended()).exitCode, serving.output()).toBe(0);
}, 600_000);

/** Newest first. */
function backupsOf(site: Site, name: string): Run[] {
  using catalog = Catalog.open(join(site.folder, "state/catalog.sqlite"));
  return listRuns(catalog, { source: name, operation: "backup" });
}
