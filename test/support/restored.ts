import { join } from "node:path";
import { expect } from "vitest";
import { startOnFolder } from "./cluster.ts";
import type { Cluster } from "./running-cluster.ts";
import type { Site } from "./site.ts";

let restores = 0;

/** Restores with the real command into a folder of its own, with every tablespace moved, and starts the result as its owner would. */
export async function restoreAndStart(site: Site, source: Cluster, ...what: string[]): Promise<Cluster> {
  const folder = join(site.folder, `restored-${++restores}`);
  const places = source.place.tablespaceDirectories.flatMap((original, i) => ["--tablespace", `${original}=${folder}-space${i}`]);
  const outcome = await site.run("restore", ...what, "--target", folder, ...places, "--json");
  expect(outcome.exitCode, `${what.join(" ")}: ${outcome.stderr}`).toBe(0);
  return startOnFolder(folder, { binaries: source.binaries, leftRecovery: true });
}

/** Waits for a condition, looking ten times a second. */
export async function eventually(what: string, condition: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (performance.now() < until) {
    if (await condition()) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
  throw new Error(`waited ${timeoutMs / 1000} s in vain: ${what}`);
}
