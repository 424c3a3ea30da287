import { expect, test } from "vitest";
import { originsOf } from "../../../src/policy/inheritance.ts";
import { loadInventory } from "../../../src/policy/load.ts";
import type { LoadedInventory } from "../../../src/policy/load.ts";
import type { Policy } from "../../../src/policy/types.ts";
import { configurationFolder, INVENTORY, POLICY } from "./configuration-folder.ts";

type Files = Readonly<Record<string, string>>;

/** What is loaded, or what is wrong, as `file:line message (hint)`. */
async function load(policies: Files, inventory = INVENTORY.replace("policy: nightly", "policy: child")): Promise<LoadedInventory | string[]> {
  const files = Object.entries({ nightly: POLICY, ...policies }).map(([name, text]) => [`policies/${name}.yaml`, text]);
  await using folder = await configurationFolder({ "holdfast.yaml": inventory, ...(Object.fromEntries(files) as Files) });
  const loaded = await loadInventory(folder.inventory);
  return loaded.ok ? loaded : loaded.problems.map(({ file, line, column, message, hint }) => `${file.slice(folder.path.length + 1)}:${line}:${column} ${message} (${hint ?? ""})`);
}

async function inventoryOf(policies: Files, inventory?: string): Promise<LoadedInventory> {
  const result = await load(policies, inventory);
  if (Array.isArray(result)) throw new Error(result.join("\n"));
  return result;
}

async function policyOf(child: string, more: Files = {}): Promise<Policy | undefined> {
  return (await inventoryOf({ child, ...more })).inventory.sources.get("orders")?.policy;
}

test("a policy that extends another has what that one says, key by key, and its own where it says something", async () => {
  const policy = await policyOf("version: 1\nname: child\nextends: nightly\nobjectives: { rpo: 1m }\nbackups:\n  full: { retention: { keepLast: 3 }, verify: pages }\n");
  expect(policy?.name).toBe("child");
  expect(policy?.objectives).toEqual({ rtoSeconds: 900, rpoSeconds: 60 });
  expect(policy?.backups.get("full")).toMatchObject({
    schedule: { expression: "0 2 * * 0" },
    // Whole: no 12 weeks beside it.
    retention: { keepForSeconds: null, keepLast: 3 },
    repositories: ["onsite", "cloud"],
    verify: "pages",
  });
  expect(policy?.log?.retentionSeconds).toBe(86_400);
});

test("a schedule is replaced whole, a list too, and 'none' takes away what would be inherited", async () => {
  const policy = await policyOf("version: 1\nname: child\nextends: nightly\nbackups:\n  full: { schedule: { every: 6h }, repositories: [cloud] }\n  log: none\ndrills: none\n");
  expect(policy?.backups.get("full")).toMatchObject({ schedule: { kind: "every", seconds: 21_600 }, repositories: ["cloud"] });
  expect([policy?.log, policy?.drills]).toEqual([null, null]);
});

test("a base may be half a policy, which others complete, and a chain may be long", async () => {
  const base = 'version: 1\nname: base\nwindows: { blackout: [{ daily: "08:00-10:00" }] }\n';
  const middle = "version: 1\nname: middle\nextends: base\nbackups:\n  full: { schedule: { every: 1d }, retention: 7d, repositories: [onsite] }\n";
  const policy = await policyOf("version: 1\nname: child\nextends: middle\nobjectives: { rto: 2h }\n", { base, middle });
  expect([policy?.windows.blackout[0]?.window, policy?.backups.get("full")?.retention.keepForSeconds, policy?.objectives.rtoSeconds]).toEqual(["08:00-10:00", 7 * 86_400, 7200]);
});

test("what is wrong is said of the file that says it, once, however many extend it", async () => {
  const broken = POLICY.replace("12w", "12");
  const second = INVENTORY.replace("policy: nightly", "policy: child").concat("  wiki: { connection: env:WIKI, policy: other }\n");
  expect(
    await load(
      {
        nightly: broken,
        child: "version: 1\nname: child\nextends: nightly\nbackups:\n  full: { verfy: decoded }\n",
        other: "version: 1\nname: other\nextends: nightly\nbackups:\n  incremental: { retention: 7d, repositories: [onsite] }\n",
      },
      second,
    ),
  ).toEqual([
    expect.stringMatching(/^policies\/nightly.yaml:7:16 retention must be a duration/),
    "policies/child.yaml:5:11 unknown key 'verfy' (did you mean 'verify'?)",
    "policies/other.yaml:5:3 schedule is missing (known here: cron, zone, every)",
  ]);
});

test("policies that extend each other in a circle are refused, with the circle", async () => {
  const circle = { child: "version: 1\nname: child\nextends: a\n", a: "version: 1\nname: a\nextends: b\n", b: "version: 1\nname: b\nextends: a\n" };
  expect(await load(circle)).toEqual(["policies/b.yaml:3:10 extends itself: child extends a extends b extends a (let one of them extend none of the others)"]);
});

test("where each part of a policy is written is known, as few lines as say it", async () => {
  const { policyFiles } = await inventoryOf({ child: "version: 1\nname: child\nextends: nightly\nobjectives: { rpo: 1m }\nbackups:\n  full: { retention: 7d }\n" });
  const file = policyFiles.get("child");
  expect(file === undefined ? [] : originsOf(file).map(({ key, policy, line }) => `${key} ${policy}:${line}`)).toEqual([
    "objectives.rto nightly:3",
    "objectives.rpo child:4",
    "backups.full.schedule nightly:6",
    "backups.full.retention child:6",
    "backups.full.repositories nightly:8",
    "backups.full.verify nightly:9",
    "backups.full.recoveryTimeBudget nightly:10",
    "backups.log nightly:11",
    "drills nightly:15",
    "windows nightly:19",
  ]);
});

const WITHOUT = INVENTORY.replace("    policy: nightly\n", "");

test("a source without a policy has the one that applies to it, by labels, tier and data class", async () => {
  const paid = `${POLICY.replace("nightly", "paid")}appliesTo: { labels: { team: payments }, tier: critical }\n`;
  const other = `${POLICY.replace("nightly", "other")}appliesTo: { dataClass: system }\n`;
  const inventory = WITHOUT.concat("    labels: { team: payments, site: east }\n");
  expect((await inventoryOf({ paid, other }, inventory)).inventory.sources.get("orders")?.policy.name).toBe("paid");
  expect((await inventoryOf({ paid, other }, WITHOUT.replace("financial", "system"))).inventory.sources.get("orders")?.policy.name).toBe("other");
  expect(await load({ paid, other }, WITHOUT)).toEqual([
    "holdfast.yaml:11:3 'orders' has no policy, and none applies to it (name one (nightly, other, paid), or write appliesTo into one)",
  ]);
});

test("two policies that apply are named, and neither is taken", async () => {
  const one = `${POLICY.replace("nightly", "one")}appliesTo: { tier: critical }\n`;
  const two = `${POLICY.replace("nightly", "two")}appliesTo: { dataClass: financial }\n`;
  expect(await load({ one, two }, WITHOUT)).toEqual(["holdfast.yaml:11:3 2 policies apply to 'orders': one, two (name one of them: policy: one)"]);
});

test("whom a policy applies to is not inherited, and a policy that applies to nobody is not looked into", async () => {
  const one = `${POLICY.replace("nightly", "one")}appliesTo: { tier: critical }\n`;
  const child = "version: 1\nname: child\nextends: one\n";
  expect((await inventoryOf({ one, child, junk: "version: 7\n" }, WITHOUT)).inventory.sources.get("orders")?.policy.name).toBe("one");
});
