import { expect, test } from "vitest";
import { HoldfastError } from "../../../src/errors.ts";
import { formatFindings, inventoryFindings } from "../../../src/policy/feasibility.ts";
import { loadInventory } from "../../../src/policy/load.ts";
import { loadPolicy } from "../../../src/policy/load-policy.ts";
import { configError, formatProblems } from "../../../src/policy/problem.ts";
import type { Inventory, SourceConfig } from "../../../src/policy/types.ts";
import { configurationFolder, INVENTORY, POLICY } from "./configuration-folder.ts";

async function loaded(inventory: string, policy = POLICY): Promise<Inventory> {
  await using folder = await configurationFolder({ "holdfast.yaml": inventory, "policies/nightly.yaml": policy });
  const result = await loadInventory(folder.inventory);
  if (!result.ok) throw new Error(formatProblems(result.problems));
  return result.inventory;
}

async function orders(inventory: string, policy = POLICY): Promise<SourceConfig | undefined> {
  return (await loaded(inventory, policy)).sources.get("orders");
}

test("an inventory comes complete: paths absolute, policies resolved, defaults filled in", async () => {
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY, "policies/nightly.yaml": POLICY });
  const result = await loadInventory(folder.inventory);
  expect(result.ok).toBe(true);
  if (!result.ok) return;
  const { sources, repositories, ...rest } = result.inventory;
  expect(rest).toEqual({
    file: folder.inventory,
    state: `${folder.path}/state`,
    channels: new Map(),
    alerting: "own",
    alive: null,
    evidence: { timestamps: null, second: null },
    limits: { hostBackups: null, hostDrills: null, repositoryBackups: new Map() },
    postgres: { binaries: ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"], runAs: null },
    scratch: { directory: `${folder.path}/state/scratch`, maxBytes: null, memoryBytes: null },
    api: { host: "127.0.0.1", port: 8420, demo: false, behindProxy: false, tls: null, oidc: null },
  });
  expect([...repositories.values()]).toEqual([
    {
      name: "onsite",
      url: "file:///srv/holdfast",
      site: null,
      class: "fast",
      passphrase: { kind: "env", name: "HOLDFAST_KEY" },
      recipient: null,
      bandwidth: [],
      maxBytes: null,
      s3: null,
    },
    {
      name: "cloud",
      url: "file:///mnt/offsite",
      site: null,
      class: null,
      passphrase: { kind: "file", path: "/etc/holdfast/key" },
      recipient: null,
      bandwidth: [],
      maxBytes: null,
      s3: null,
    },
  ]);
  expect(sources.get("orders")).toMatchObject({
    name: "orders",
    kind: "postgres",
    connection: { kind: "env", name: "ORDERS_URL" },
    dataDirectory: null,
    heartbeat: false,
    labels: {},
  });
});

test("a repository in a bucket comes with how it is reached and written, and null for what is left to the environment", async () => {
  const settings = `url: s3://backups/holdfast
    region: eu-central-1
    endpoint: https://s3.example.com:9000
    pathStyle: false
    credentials: { accessKeyId: env:S3_ID, secretAccessKey: file:/etc/holdfast/s3.secret }
    serverSideEncryption: { algorithm: aws:kms, key: alias/backups }
    storageClass: STANDARD_IA`;
  const { repositories } = await loaded(INVENTORY.replace("url: file:///srv/holdfast", settings).replace("file:///mnt/offsite", "s3://elsewhere"));
  expect([...repositories.values()]).toMatchObject([
    {
      url: "s3://backups/holdfast",
      s3: {
        endpoint: "https://s3.example.com:9000",
        region: "eu-central-1",
        pathStyle: false,
        credentials: { accessKeyId: { kind: "env", name: "S3_ID" }, secretAccessKey: { kind: "file", path: "/etc/holdfast/s3.secret" }, sessionToken: null },
        serverSideEncryption: { algorithm: "aws:kms", key: "alias/backups" },
        storageClass: "STANDARD_IA",
      },
    },
    { url: "s3://elsewhere", s3: { endpoint: null, region: null, pathStyle: null, credentials: null, serverSideEncryption: null, storageClass: null, objectLock: null } },
  ]);
});

test("a policy has defaults for verification, expiry and drills, and says nothing about what it leaves out", async () => {
  const policy = (await orders(INVENTORY))?.policy;
  expect(policy).toMatchObject({
    name: "nightly",
    verify: { schedule: { kind: "cron", expression: "0 3 * * *", zone: "UTC" }, tier: "decoded" },
    expire: { schedule: { kind: "every", seconds: 3600 } },
    drills: {
      select: "random",
      checks: [{ kind: "sql", name: "sql check 1", database: "app", expect: { min: 1, max: null, equals: null }, timeoutSeconds: 3600, required: true }],
    },
    windows: { heavy: ["02:00-04:00"], blackout: [] },
    log: { schedule: { kind: "stream" }, retentionSeconds: 86_400, repositories: ["onsite"], recoveryTimeBudgetSeconds: null },
  });
  expect([...(policy?.backups.keys() ?? [])]).toEqual(["full"]);
  expect(policy?.backups.get("full")?.retention).toEqual({ keepForSeconds: 12 * 7 * 86_400, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null });
});

test.each([
  ["critical", "financial", 900, 300],
  ["important", "user", 3600, 900],
  ["standard", "application", 14_400, 3600],
  ["non-critical", "system", 86_400, 14_400],
])("a policy without objectives leaves them to tier %s and data class %s", async (tier, dataClass, rtoSeconds, rpoSeconds) => {
  const inventory = INVENTORY.replace("tier: critical", `tier: ${tier}`).replace("dataClass: financial", `dataClass: ${dataClass}`);
  expect((await orders(inventory, POLICY.replace(/objectives:.*\n/, "")))?.objectives).toEqual({ rtoSeconds, rpoSeconds });
});

test("objectives of the policy come before those of tier and data class", async () => {
  expect((await orders(INVENTORY, POLICY.replace(/objectives:.*/, "objectives: { rto: 2h }")))?.objectives).toEqual({ rtoSeconds: 7200, rpoSeconds: 300 });
});

test("a source without tier and data class is standard and application", async () => {
  expect(await orders(INVENTORY.replace(/ {4}(tier|dataClass):.*\n/g, ""))).toMatchObject({ tier: "standard", dataClass: "application" });
});

test("intervals of seconds are accepted for everything that has a schedule", async () => {
  const policy = POLICY.replace('{ cron: "0 2 * * 0" }', "{ every: 5s }").replace("schedule: stream", "schedule: { every: 1s }").replace('{ cron: "0 4 1 * *" }', "{ every: 9s }");
  const source = await orders(INVENTORY, `${policy}verify: { schedule: { every: 7s } }\nexpire: { schedule: { every: 3s } }\n`);
  expect(source?.policy.backups.get("full")?.schedule).toEqual({ kind: "every", seconds: 5 });
  expect(source?.policy.log?.schedule).toEqual({ kind: "every", seconds: 1 });
  expect(source?.policy.verify?.schedule).toEqual({ kind: "every", seconds: 7 });
  expect(source?.policy.expire.schedule).toEqual({ kind: "every", seconds: 3 });
  expect(source?.policy.drills?.schedule).toEqual({ kind: "every", seconds: 9 });
});

test("a schedule may name its zone, and a retention all of its rules", async () => {
  const policy = POLICY.replace('{ cron: "0 2 * * 0" }', '{ cron: "0 2 * * 0", zone: Europe/Berlin }')
    .replace("12w", "{ keepFor: 30d, keepLast: 2, daily: 7, weekly: 5, monthly: 12, yearly: 7 }")
    .replace("24h", "{ keepFor: 24h }");
  const source = await orders(INVENTORY, policy);
  expect(source?.policy.backups.get("full")).toMatchObject({
    schedule: { zone: "Europe/Berlin" },
    retention: { keepForSeconds: 30 * 86_400, keepLast: 2, daily: 7, weekly: 5, monthly: 12, yearly: 7 },
  });
  expect(source?.policy.log?.retentionSeconds).toBe(86_400);
});

test("a drill check may be a command with a time limit", async () => {
  const checks = `    - { command: [./smoke.sh, --quick], timeout: 90s, required: false, name: smoke }\n    - { command: [./other.sh] }\n    - { sql: select 1, expect: { equals: 1 } }\n`;
  const source = await orders(INVENTORY, POLICY.replace(/ {4}- \{ sql.*\n/, checks));
  expect(source?.policy.drills?.checks).toEqual([
    { kind: "command", name: "smoke", command: ["./smoke.sh", "--quick"], timeoutSeconds: 90, required: false },
    { kind: "command", name: "command check 2", command: ["./other.sh"], timeoutSeconds: 60, required: true },
    { kind: "sql", name: "sql check 3", sql: "select 1", database: "postgres", expect: { min: null, max: null, equals: "1" }, timeoutSeconds: 3600, required: true },
  ]);
});

test("an alias stands for the value it repeats", async () => {
  const inventory = INVENTORY.replace("{ passphrase: env:HOLDFAST_KEY }", "&key { passphrase: env:HOLDFAST_KEY }").replace("{ passphrase: file:/etc/holdfast/key }", "*key");
  expect((await loaded(inventory)).repositories.get("cloud")?.passphrase).toEqual({ kind: "env", name: "HOLDFAST_KEY" });
});

test("all problems of all files come at once, in the order of the lines", async () => {
  await using folder = await configurationFolder({
    "holdfast.yaml": INVENTORY.replace("version: 1", "version: 3").replace("tier: critical", "tier: high\n    policy: nightly").replace("class: fast", "clas: fast"),
    "policies/nightly.yaml": POLICY.replace("12w", "12").replace("[onsite]", "[onsit]"),
  });
  const result = await loadInventory(folder.inventory);
  const places = result.ok ? [] : result.problems.map(({ file, line, message }) => `${file.slice(folder.path.length + 1)}:${line} ${message}`);
  expect(places).toEqual([
    "holdfast.yaml:1 version must be 1",
    "holdfast.yaml:5 unknown key 'clas'",
    "holdfast.yaml:15 tier must be one of critical, important, standard, non-critical",
    "holdfast.yaml:16 the key is there twice",
    "policies/nightly.yaml:7 retention must be a duration",
    "policies/nightly.yaml:14 the inventory has no repository 'onsit'",
  ]);
});

test("no message, hint or error repeats a secret, wherever it was put", async () => {
  const secret = "s3cr3t/hunter2=";
  const places = [
    "env:HOLDFAST_KEY",
    "env:ORDERS_URL",
    "file:///srv/holdfast",
    "nightly",
    "critical",
    "financial",
    "postgres",
    "fast",
    "class",
    "file:/etc/holdfast/key",
    "version: 1",
    "cloud",
    "orders",
  ];
  let refused = 0;
  for (const place of places) {
    for (const written of [secret, `"${secret}"`, `{ ${secret} }`, `"${secret}`, `!${secret} x`, `*${secret}`]) {
      await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY.replace(place, () => written), "policies/nightly.yaml": POLICY });
      const result = await loadInventory(folder.inventory);
      if (result.ok) continue;
      refused++;
      const error = configError(result.problems);
      expect(JSON.stringify([result.problems, error.message, error.hint, error.facts])).not.toContain("hunter2");
    }
  }
  expect(refused).toBeGreaterThan(60);
});

test.each<readonly [string, Readonly<Record<string, string | Uint8Array>>, string]>([
  ["a missing inventory", {}, "there is no such file"],
  ["a folder in place of the inventory", { "holdfast.yaml/x": "" }, "is a folder, not a file"],
  ["an inventory in Latin-1", { "holdfast.yaml": new Uint8Array([0x61, 0x3a, 0xe4]) }, "is not text in UTF-8"],
  ["an inventory of many megabytes", { "holdfast.yaml": new Uint8Array(2 ** 20 + 1).fill(0x20) }, "is larger than 1 MiB"],
  ["an inventory nested without end", { "holdfast.yaml": "[".repeat(100_000) }, "is nested too deeply, or repeats itself through too many aliases"],
  ["an inventory that unfolds without end", { "holdfast.yaml": billionLaughs() }, "is nested too deeply, or repeats itself through too many aliases"],
  ["an inventory of comments", { "holdfast.yaml": "# nothing\n" }, "the file is empty"],
])("%s is one problem at the first line", async (_, files, message) => {
  await using folder = await configurationFolder(files);
  const result = await loadInventory(folder.inventory);
  expect(result.ok ? [] : result.problems).toEqual([expect.objectContaining({ file: folder.inventory, line: 1, message })]);
});

function billionLaughs(): string {
  const lines = Array.from({ length: 9 }, (_, i) => `k${i + 1}: &k${i + 1} [${Array.from({ length: 9 }, () => `*k${i}`).join(", ")}]`);
  return ["k0: &k0 [x]", ...lines].join("\n");
}

test("without a folder of policies the hint says where they come from", async () => {
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY });
  const result = await loadInventory(folder.inventory);
  expect(result.ok ? [] : result.problems).toEqual([
    {
      file: folder.inventory,
      line: 14,
      column: 13,
      message: "there is no policies/nightly.yaml beside this file",
      hint: "there is no policies/*.yaml beside this file: copy the ones that ship with Holdfast there",
    },
  ]);
});

test("a policy that no source uses may be broken", async () => {
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY, "policies/nightly.yaml": POLICY, "policies/draft.yaml": "version: 9\n" });
  expect((await loadInventory(folder.inventory)).ok).toBe(true);
});

test("a policy is loaded by itself without asking for its repositories", async () => {
  await using folder = await configurationFolder({ "nightly.yaml": POLICY });
  expect(await loadPolicy(`${folder.path}/nightly.yaml`)).toMatchObject({ ok: true, policy: { name: "nightly" } });
});

test("problems are printed as file:line:column with a hint, and as one error of exit code 2", () => {
  const problems = [{ file: "/x/holdfast.yaml", line: 3, column: 5, message: "unknown key 'a'", hint: "known here: b" }];
  expect(formatProblems(problems)).toBe("/x/holdfast.yaml:3:5: unknown key 'a'\n  hint: known here: b");
  expect(
    formatProblems(Array.from({ length: 60 }, () => problems).flat())
      .split("\n")
      .at(-1),
  ).toBe("and 10 more");
  const error = configError(problems);
  expect(error).toBeInstanceOf(HoldfastError);
  expect(error.exitCode).toBe(2);
});

test("findings name the line of the policy and the sources they are about", async () => {
  const second = "  wiki: { kind: postgres, connection: env:W, policy: nightly, tier: critical, dataClass: financial }\n";
  await using folder = await configurationFolder({
    "holdfast.yaml": INVENTORY + second,
    "policies/nightly.yaml": POLICY.replace("schedule: stream", "schedule: { every: 15m }").replace("    recoveryTimeBudget: 4h\n", ""),
  });
  const result = await loadInventory(folder.inventory);
  expect(result.ok && formatFindings(inventoryFindings(result)).replaceAll(folder.path, "")).toBe(
    [
      "/policies/nightly.yaml:11:15: infeasible: a log backup every 15m loses up to 15m, and the recovery point objective is 5m (sources orders, wiki)",
      "  hint: stream the log: log: { schedule: stream, … }",
      "/policies/nightly.yaml:13:19: warning: the copy in 'cloud' has no log: by itself it loses up to 7d, and the recovery point objective is 5m (sources orders, wiki)",
      "  hint: add 'cloud' to the repositories of log, or accept it as a copy for the loss of the others",
    ].join("\n"),
  );
});
