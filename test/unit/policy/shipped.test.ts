import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { formatDuration } from "../../../src/domain/duration.ts";
import type { Schedule } from "../../../src/domain/schedule.ts";
import { policyFindings } from "../../../src/policy/feasibility.ts";
import { loadInventory, RPO_SECONDS, RTO_SECONDS } from "../../../src/policy/load.ts";
import { loadPolicy } from "../../../src/policy/load-policy.ts";
import type { LoadedPolicy } from "../../../src/policy/load-policy.ts";
import { formatProblems } from "../../../src/policy/problem.ts";
import { TIERS } from "../../../src/policy/types.ts";
import { configurationFolder } from "./configuration-folder.ts";

const SHIPPED = join(import.meta.dirname, "../../../policies");

async function shipped(name: string): Promise<LoadedPolicy> {
  const loaded = await loadPolicy(join(SHIPPED, `${name}.yaml`));
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
  return loaded;
}

/** The backup table of the mission, section 1, row by row: when, retention, kept where, verification, recovery-time budget. */
const TABLE = {
  full: { when: "0 2 * * 0 UTC", retention: "12w", repositories: ["onsite", "cloud"], verify: "decoded", budget: "4h" },
  incremental: { when: "0 2 * * * UTC", retention: "30d", repositories: ["onsite", "cloud"], verify: "decoded", budget: "2h" },
  differential: { when: "every 6h", retention: "7d", repositories: ["onsite"], verify: "decoded", budget: "1h" },
};

function when(schedule: Schedule | { kind: "stream" }): string {
  if (schedule.kind === "stream") return "stream";
  return schedule.kind === "cron" ? `${schedule.expression} ${schedule.zone}` : `every ${formatDuration(schedule.seconds)}`;
}

function tableOf({ policy }: LoadedPolicy): unknown {
  return Object.fromEntries(
    [...policy.backups.values()].map(({ type, schedule, retention: { keepForSeconds, ...counts }, repositories, verify, recoveryTimeBudgetSeconds }) => {
      expect(Object.values(counts).every((count) => count === null)).toBe(true);
      return [type, { when: when(schedule), retention: formatDuration(keepForSeconds ?? 0), repositories, verify, budget: formatDuration(recoveryTimeBudgetSeconds ?? 0) }];
    }),
  );
}

/** For sources that are no clusters. */
const OF_OTHER_KINDS = ["files", "logical"];

test("every policy that ships is one of these", async () => {
  const names = (await readdir(SHIPPED)).filter((name) => name.endsWith(".yaml")).map((name) => basename(name, ".yaml"));
  expect(names.toSorted()).toEqual(["guide", ...OF_OTHER_KINDS, ...TIERS].toSorted());
});

test.each(["guide", ...TIERS])("policy %s carries the table of the mission", async (name) => {
  const loaded = await shipped(name);
  expect(tableOf(loaded)).toEqual(TABLE);
  expect(loaded.policy.log).toMatchObject({ retentionSeconds: 24 * 3600, recoveryTimeBudgetSeconds: 15 * 60 });
  expect(loaded.policy.verify).toEqual({ schedule: { kind: "cron", expression: "0 3 * * *", zone: "UTC" }, tier: "decoded", walSeconds: 900, scrub: null });
  expect(loaded.policy.windows).toEqual({ heavy: ["02:00-04:00"], blackout: [] });
});

test("the guide backs up the log every 15 minutes to the high-speed storage, the others stream it to every copy", async () => {
  const guide = (await shipped("guide")).policy;
  expect([when(guide.log?.schedule ?? { kind: "stream" }), guide.log?.repositories]).toEqual(["every 15m", ["onsite"]]);
  for (const tier of TIERS) {
    const { log } = (await shipped(tier)).policy;
    expect([log?.schedule.kind, log?.repositories]).toEqual(["stream", ["onsite", "cloud"]]);
  }
});

test("objectives are those of the tier, and the recovery point is left to the data class", async () => {
  expect(RTO_SECONDS).toEqual({ critical: 15 * 60, important: 3600, standard: 4 * 3600, "non-critical": 24 * 3600 });
  expect(RPO_SECONDS).toEqual({ financial: 5 * 60, user: 15 * 60, application: 3600, system: 4 * 3600 });
  for (const tier of TIERS) expect((await shipped(tier)).policy.objectives).toEqual({ rtoSeconds: RTO_SECONDS[tier], rpoSeconds: null });
  expect((await shipped("guide")).policy.objectives).toEqual({ rtoSeconds: null, rpoSeconds: null });
});

test("restore tests run weekly for critical and important, monthly for the others", async () => {
  const schedules = new Map<string, string>();
  for (const name of ["guide", ...TIERS]) schedules.set(name, when((await shipped(name)).policy.drills?.schedule ?? { kind: "stream" }));
  expect(Object.fromEntries(schedules)).toEqual({
    guide: "0 4 1 * * UTC",
    critical: "0 4 * * 1 UTC",
    important: "0 4 * * 1 UTC",
    standard: "0 4 1 * * UTC",
    "non-critical": "0 4 1 * * UTC",
  });
});

test("the guide cannot hold the recovery point of financial data, and says so at the line of its log schedule", async () => {
  const { policy, yaml } = await shipped("guide");
  const line = (await readFile(join(SHIPPED, "guide.yaml"), "utf8")).split("\n").findIndex((text) => text.includes("every: 15m")) + 1;
  const infeasible = policyFindings(policy, { rtoSeconds: 4 * 3600, rpoSeconds: RPO_SECONDS.financial }, yaml).filter(({ severity }) => severity === "infeasible");
  expect(infeasible).toEqual([expect.objectContaining({ line, column: 15, hint: "stream the log: log: { schedule: stream, … }" })]);
  expect(policyFindings(policy, { rtoSeconds: 4 * 3600, rpoSeconds: RPO_SECONDS.application }, yaml).filter(({ severity }) => severity === "infeasible")).toEqual([]);
});

test("the policies of the tiers can hold every recovery point objective", async () => {
  for (const tier of TIERS) {
    const { policy, yaml } = await shipped(tier);
    const findings = policyFindings(policy, { rtoSeconds: RTO_SECONDS[tier], rpoSeconds: RPO_SECONDS.financial }, yaml);
    expect(findings.filter(({ severity }) => severity === "infeasible")).toEqual([]);
  }
});

test("the example inventory loads with the shipped policies beside it", async () => {
  const files: Record<string, string> = { "holdfast.yaml": await readFile(join(SHIPPED, "example/holdfast.yaml"), "utf8") };
  for (const name of ["guide", ...OF_OTHER_KINDS, ...TIERS]) files[`policies/${name}.yaml`] = await readFile(join(SHIPPED, `${name}.yaml`), "utf8");
  await using folder = await configurationFolder(files);
  const loaded = await loadInventory(folder.inventory);
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
  const { sources, repositories, scratch } = loaded.inventory;
  expect([...repositories.values()].map(({ name, class: kind, maxBytes }) => [name, kind, maxBytes])).toEqual([
    ["onsite", "fast", null],
    ["cloud", null, 10e12],
  ]);
  expect(sources.get("orders")).toMatchObject({ objectives: { rtoSeconds: 900, rpoSeconds: 300 }, heartbeat: true, labels: { team: "payments" }, policy: { name: "critical" } });
  expect(sources.get("wiki")).toMatchObject({ objectives: { rtoSeconds: 14_400, rpoSeconds: 3600 }, dataDirectory: null });
  expect(scratch).toEqual({ directory: "/var/lib/holdfast/scratch", maxBytes: 500e9, memoryBytes: 2e9 });
});
