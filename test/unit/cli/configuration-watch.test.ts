import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openApp } from "../../../src/app.ts";
import type { App } from "../../../src/app.ts";
import { ConfigurationWatch } from "../../../src/cli/configuration-watch.ts";
import { systemClock } from "../../../src/clock.ts";
import { approvePolicy } from "../../../src/operations/policy/approve-policy.ts";
import { createRepository } from "../../../src/repository/create-repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../src/storage/local-store.ts";
import { configurationFolder } from "../policy/configuration-folder.ts";

const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";
const policy = (retention: string): string =>
  `version: 1\nname: p\nchanges: { approval: required }\nbackups:\n  full: { schedule: { every: 1h }, retention: ${retention}, repositories: [onsite] }\n`;

interface Watched extends AsyncDisposable {
  readonly app: App;
  readonly watch: ConfigurationWatch;
  /** Sources that were said to have changed, each time. */
  readonly changed: string[][];
  write(file: string, text: string): Promise<void>;
  inventory(sources: string, more?: string): string;
  /** A look, later than the last. */
  look(): Promise<void>;
  days(): number | null;
}

async function openWatched(): Promise<Watched> {
  const folder = await configurationFolder({ key: PASSPHRASE, "policies/p.yaml": policy("30d"), "holdfast.yaml": "" });
  const inventory = (sources: string, more = ""): string =>
    `version: 1\nrepositories:\n  onsite: { url: "file://${folder.path}/onsite", encryption: { passphrase: "file:${folder.path}/key" } }\nsources:\n${sources}\n${more}`;
  const write = async (file: string, text: string): Promise<void> => writeFile(join(folder.path, file), text);
  await write("holdfast.yaml", inventory("  db: { connection: env:NOT_SET, policy: p }"));
  await prepareLocalStore(join(folder.path, "onsite"));
  await createRepository({ name: "onsite", store: openLocalStore(join(folder.path, "onsite")), passphrase: PASSPHRASE, now: systemClock.now() });
  let ms = 0;
  const app = await openApp({ config: folder.inventory, clock: { ...systemClock, now: () => systemClock.now(), monotonicMs: () => ms }, onNotice: () => undefined });
  const changed: string[][] = [];
  const watch = new ConfigurationWatch({ app, onTakenUp: (names) => void changed.push([...names]), log: () => undefined });
  return {
    app,
    watch,
    changed,
    write,
    inventory,
    look: async () => {
      ms += 2000;
      await watch.keep();
    },
    days: () => {
      const seconds = app.inventory.sources.get("db")?.policy.backups.get("full")?.retention.keepForSeconds;
      return seconds === undefined || seconds === null ? null : seconds / 86_400;
    },
    [Symbol.asyncDispose]: async () => {
      await app[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("a changed policy, a new source and a changed limit are in force for all who have the inventory, at the next look", async () => {
  await using watched = await openWatched();
  const { inventory } = watched.app;
  await watched.look();
  await watched.write("policies/p.yaml", policy("60d"));
  await watched.write(
    "holdfast.yaml",
    watched.inventory("  db: { connection: env:NOT_SET, policy: p }\n  new: { connection: env:NOT_SET, policy: p }", "limits: { host: { backups: 3 } }\n"),
  );
  await watched.look();
  expect(watched.days()).toBe(60);
  expect([...inventory.sources.keys(), inventory.limits.hostBackups]).toEqual(["db", "new", 3]);
  expect(watched.changed).toEqual([["db", "new"]]);
  await watched.look();
  expect(watched.changed).toHaveLength(1);
});

test.each<[string, string, string, string]>([
  ["a policy that is not valid", "policies/p.yaml", policy("60dd"), "p.yaml:5"],
  ["a policy that is cut off", "policies/p.yaml", policy("60d").slice(0, 90), "p.yaml"],
])("%s leaves everything as it was and says why, until it is repaired", async (_, file, text, problem) => {
  await using watched = await openWatched();
  await watched.look();
  await watched.write(file, text);
  await watched.look();
  expect([watched.days(), watched.watch.problem, watched.changed]).toEqual([30, expect.stringContaining(problem), []]);
  await watched.write(file, policy("60d"));
  await watched.look();
  expect([watched.days(), watched.watch.problem, watched.changed]).toEqual([60, null, [["db"]]]);
});

test("a change of what is only read at the start is not taken up, and neither is what came with it", async () => {
  await using watched = await openWatched();
  await watched.look();
  await watched.write("policies/p.yaml", policy("60d"));
  await watched.write("holdfast.yaml", watched.inventory("  db: { connection: env:NOT_SET, policy: p }", 'api: { listen: "127.0.0.1:8421" }\n'));
  await watched.look();
  expect([watched.days(), watched.watch.problem]).toEqual([30, expect.stringContaining("restart 'holdfast serve'")]);
});

test("what waits for approval is in force as soon as it is approved, with no file touched", async () => {
  await using watched = await openWatched();
  await watched.look();
  await watched.write("policies/p.yaml", policy("7d"));
  await watched.look();
  expect([watched.days(), watched.watch.problem]).toEqual([30, null]);
  await approvePolicy(watched.app, { name: "p", identity: { kind: "person", id: "1", name: "bea", role: "admin", scope: null } });
  await watched.look();
  expect(watched.days()).toBe(7);
});
