import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { TIERS } from "../../../src/policy/types.ts";
import { configurationFolder } from "./configuration-folder.ts";

/** The tables of the guide, explained and simulated as a user does it: what contradicts itself in them has to be said. */

const MAIN = join(import.meta.dirname, "../../../src/main.ts");
const SHIPPED = join(import.meta.dirname, "../../../policies");
const POLICIES = ["guide", ...TIERS];
const TIME_LIMIT_MS = 120_000;

interface Finding {
  readonly line: number;
  readonly severity: string;
  readonly message: string;
  readonly hint: string;
}
interface Explained {
  readonly sources: readonly string[];
  readonly runs: readonly { readonly type: string; readonly when: string; readonly kept: string | null; readonly repositories: readonly string[] }[];
  readonly copies: readonly { readonly repository: string; readonly log: string | null; readonly lossSeconds: number | null; readonly holdsRpo: boolean }[];
  readonly dataClasses: readonly { readonly dataClass: string; readonly held: string }[];
  readonly tiers: readonly { readonly tier: string; readonly held: string }[];
  readonly findings: readonly Finding[];
}
interface Simulated {
  readonly holds: boolean;
  readonly runs: Readonly<Record<string, number>>;
  readonly days: readonly { readonly date: string; readonly repositories: readonly Readonly<Record<string, number | string | null>>[] }[];
  readonly problems: readonly {
    readonly severity: string;
    readonly kind: string;
    readonly repository: string | null;
    readonly type: string | null;
    readonly hint: string | null;
  }[];
  readonly assumptions: Readonly<Record<string, unknown>>;
  readonly findings: readonly Finding[];
}

async function holdfast(...args: string[]): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [MAIN, ...args], { reject: false, env: { NO_COLOR: "1" } });
  return { exitCode, stdout, stderr };
}

async function explain(name: string, ...args: string[]): Promise<Explained & { exitCode: number | undefined }> {
  const { exitCode, stdout } = await holdfast("policy", "explain", join(SHIPPED, `${name}.yaml`), "--json", ...args);
  const { policies } = JSON.parse(stdout) as { policies: [Explained] };
  return { ...policies[0], exitCode };
}

async function simulate(name: string, ...args: string[]): Promise<Simulated & { exitCode: number | undefined }> {
  const { exitCode, stdout } = await holdfast("policy", "simulate", join(SHIPPED, `${name}.yaml`), "--from", "2026-11-22", "--json", ...args);
  const { simulations } = JSON.parse(stdout) as { simulations: [Simulated] };
  return { ...simulations[0], exitCode };
}

test.each(POLICIES)("policy %s is explained with the words of the table", async (name) => {
  const { runs } = await explain(name);
  const logs = name === "guide" ? { when: "every 15m", repositories: ["onsite"] } : { when: "streamed, as it is written", repositories: ["onsite", "cloud"] };
  expect(runs.slice(0, 4)).toMatchObject([
    { type: "full", when: "every Sunday at 02:00 UTC", kept: "for 12w", repositories: ["onsite", "cloud"] },
    { type: "differential", when: "every 6h from 00:00 UTC", kept: "for 7d", repositories: ["onsite"] },
    { type: "incremental", when: "every day at 02:00 UTC", kept: "for 30d", repositories: ["onsite", "cloud"] },
    { type: "log", kept: "for 1d, from the backup before it on", ...logs },
  ]);
});

test("a log every 15 minutes cannot hold the recovery point of financial data: named at its line, with streaming proposed", async () => {
  const { exitCode, findings, dataClasses, copies } = await explain("guide");
  const lines = (await readFile(join(SHIPPED, "guide.yaml"), "utf8")).split("\n");
  const infeasible = findings.filter(({ severity }) => severity === "infeasible");
  expect(infeasible).toMatchObject([
    { message: "a log backup every 15m loses up to 15m, and the recovery point objective is 5m", hint: "stream the log: log: { schedule: stream, … }" },
  ]);
  expect(lines[(infeasible[0]?.line ?? 0) - 1]).toContain("every: 15m");
  expect(dataClasses.map(({ dataClass, held }) => `${dataClass} ${held}`)).toEqual(["financial no", "user barely", "application yes", "system yes"]);
  // The table keeps the log on site only: the cloud copy alone has the recovery point of its backups.
  expect(copies).toMatchObject([
    { repository: "onsite", log: "scheduled", lossSeconds: 900, holdsRpo: false },
    { repository: "cloud", log: null, lossSeconds: 86_400, holdsRpo: false },
  ]);
  expect(exitCode).toBe(1);
  expect((await explain("guide", "--allow-infeasible")).exitCode).toBe(0);
});

test("where an hour may be lost the guide holds", async () => {
  const { exitCode, findings } = await explain("guide", "--tier", "standard", "--data-class", "application");
  expect(findings.filter(({ severity }) => severity === "infeasible")).toEqual([]);
  expect(exitCode).toBe(0);
});

test.each(TIERS)("policy %s holds every recovery point, and its budgets are those of a slower tier", async (name) => {
  const { exitCode, dataClasses, tiers, copies, findings } = await explain(name);
  expect(dataClasses.map(({ held }) => held)).toEqual(["yes", "yes", "yes", "yes"]);
  expect(copies.map(({ log, lossSeconds, holdsRpo }) => [log, lossSeconds, holdsRpo])).toEqual([
    ["streamed", null, true],
    ["streamed", null, true],
  ]);
  // Four hours for a full backup, and a quarter of an hour for a critical source.
  expect(tiers.map(({ tier, held }) => `${tier} ${held}`)).toEqual(["critical no", "important no", "standard yes", "non-critical yes"]);
  expect(findings.filter(({ message }) => message.includes("may take its budget")).length).toBe({ critical: 3, important: 2, standard: 0, "non-critical": 0 }[name]);
  expect(exitCode).toBe(0);
});

test(
  "400 days of the guide: every run, what is there, and every moment that does not hold",
  async () => {
    const { exitCode, holds, runs, days, problems, assumptions } = await simulate("guide", "--days", "400");
    // 58 Sundays, and the first of all; no incremental on a Sunday, and no differential beside the first full; the log from the end of that on.
    expect(runs).toMatchObject({ full: 59, incremental: 342, differential: 4 * 400 - 1, log: 96 * 400 - 2, verify: 400, drill: 13, expire: 24 * 400 - 1, missed: 0 });
    const settled = days.slice(100).map(({ repositories }) => repositories.map(({ repository, full, differential }) => [repository, full, differential]));
    expect(new Set(settled.map((day) => JSON.stringify(day)))).toEqual(new Set(['[["onsite",12,28],["cloud",12,0]]']));
    expect(problems.filter(({ severity }) => severity === "breach")).toMatchObject([
      { kind: "rpo", repository: "cloud", hint: "add 'cloud' to the repositories of log" },
      { kind: "rpo", repository: "onsite", type: "log", hint: "stream the log: log: { schedule: stream, … }" },
    ]);
    expect(problems.filter(({ kind }) => ["orphan", "window-short", "missed", "never", "full-instead", "late"].includes(kind))).toEqual([]);
    expect(assumptions["assumed"]).toContain("databaseBytes");
    expect([holds, exitCode]).toEqual([false, 1]);
  },
  TIME_LIMIT_MS,
);

test.each(TIERS)(
  "60 days of policy %s: nothing is broken but what assumed sizes break",
  async (name) => {
    const { exitCode, holds, problems, days } = await simulate(name, "--days", "60");
    expect(problems.filter(({ severity }) => severity === "breach")).toEqual([]);
    expect(days.at(-1)?.repositories.map(({ recoverableFrom }) => typeof recoverableFrom)).toEqual(["string", "string"]);
    expect([holds, exitCode]).toEqual([true, 0]);
  },
  TIME_LIMIT_MS,
);

test(
  "what is told is not assumed, and a restore that is too slow for it is no longer a warning",
  async () => {
    const sizes = ["--database-size", "2TB", "--restore-speed", "500MB", "--replay-speed", "50MB", "--daily-wal", "40GB"];
    const { exitCode, problems } = await simulate("critical", "--days", "14", ...sizes);
    expect(problems.find(({ kind }) => kind === "rto")).toMatchObject({ severity: "breach" });
    expect(exitCode).toBe(1);
  },
  TIME_LIMIT_MS,
);

test(
  "the calendar for people: months, days of one month, growth, and what goes wrong",
  async () => {
    const { exitCode, stdout } = await holdfast("policy", "simulate", join(SHIPPED, "guide.yaml"), "--from", "2026-11-22", "--days", "45");
    expect(stdout).toContain("policy guide: 45 days from 2026-11-22, rto 15m (assumed), rpo 5m (assumed)");
    expect(stdout).toContain("database 100 GB (assumed)");
    expect(stdout).toMatch(/^2026-12 +4 +27 +124 +4 +0 +2976 +31 +1 +744 *$/m);
    expect(stdout).toMatch(/^7 I 4D +8 I 4D +9 I 4D +10 I 4D +11 I 4D +12 I 4D +13 F 4D *$/m);
    expect(stdout).toMatch(/^onsite holds at most \d+\.\d GiB \(2027-01-\d\d\), and /m);
    expect(stdout).toContain("breach: the copy in 'onsite' loses up to 15m between log backups");
    expect(exitCode).toBe(1);
  },
  TIME_LIMIT_MS,
);

test(
  "with an inventory each policy is looked at once for the sources that share it and their objectives",
  async () => {
    const files: Record<string, string> = { "holdfast.yaml": await readFile(join(SHIPPED, "example/holdfast.yaml"), "utf8") };
    for (const name of [...POLICIES, "files", "logical"]) files[`policies/${name}.yaml`] = await readFile(join(SHIPPED, `${name}.yaml`), "utf8");
    await using folder = await configurationFolder(files);
    const explained = await holdfast("policy", "explain", "--config", folder.inventory, "--json");
    expect((JSON.parse(explained.stdout) as { policies: Explained[] }).policies.map(({ sources }) => sources)).toEqual([["orders"], ["wiki"], ["uploads"], ["shop"]]);
    const simulated = await holdfast("policy", "simulate", "--config", folder.inventory, "--days", "10", "--json");
    expect([explained.exitCode, simulated.exitCode]).toEqual([0, 0]);
    const refused = await holdfast("policy", "simulate", "--config", folder.inventory, "--tier", "critical");
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain("error[HF-USAGE]: --tier and --data-class go with a policy file");
  },
  TIME_LIMIT_MS,
);

test.each([
  ["--days", "0"],
  ["--from", "2026-02-30"],
  ["--daily-change", "200%"],
  ["--database-size", "lots"],
  ["--compression", "0.5"],
])("simulate refuses %s %s", async (flag, value) => {
  const { exitCode, stderr } = await holdfast("policy", "simulate", join(SHIPPED, "guide.yaml"), flag, value);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(flag);
});
