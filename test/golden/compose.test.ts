import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { neededFunctions } from "../../src/postgres/grants.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { PROJECT_ROOT, readProjectFile } from "../support/markdown.ts";

/** The container set-up, as far as it can be held against the project without an engine; and started, where one runs. */
const run = promisify(execFile);
const HOLDFAST_UID = "10001";

const serviceSchema = z.object({
  image: z.string(),
  build: z.string().optional(),
  user: z.string().optional(),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
  network_mode: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.unknown().optional(),
});
const composeSchema = z.object({ services: z.record(z.string(), serviceSchema), volumes: z.record(z.string(), z.unknown()) });

const compose = composeSchema.parse(parse(readProjectFile("docker-compose.yml"), { merge: true }));
const services = Object.entries(compose.services).map(([name, service]) => ({ name, ...service }));
const mounts = services.flatMap(({ name, volumes }) =>
  volumes.map((text) => {
    const [source = "", target = "", mode = "rw"] = text.split(":");
    return { service: name, source, target, mode };
  }),
);
const service = (name: string): (typeof services)[number] => {
  const found = services.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
};

test("every file and folder that is mounted is there, and read-only", () => {
  const bound = mounts.filter(({ source }) => source.startsWith("./"));
  expect(bound.length).toBeGreaterThan(5);
  expect(bound.filter(({ source, mode }) => !existsSync(join(PROJECT_ROOT, source)) || mode !== "ro")).toEqual([]);
});

test("every volume that is mounted is declared, and every declared one is used", () => {
  const named = mounts.map(({ source }) => source).filter((source) => !source.startsWith("./"));
  expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)));
});

test("services wait for services that exist, and for health only where health is checked", () => {
  for (const { name, depends_on } of services)
    for (const [other, { condition }] of Object.entries(depends_on)) {
      const ready = condition !== "service_healthy" || service(other).healthcheck !== undefined || service(other).image === "holdfast";
      expect(ready, `${name} waits for ${other}`).toBe(true);
    }
});

test("no secret is written down: passwords come as files", () => {
  const environment = services.flatMap((one) => Object.entries(one.environment));
  const suspicious = environment.filter(([key, value]) => /PASSWORD|SECRET|TOKEN|USER/.test(key) && !(key.endsWith("_FILE") && value.startsWith("/run/")));
  expect(suspicious).toEqual([]);
  expect(readProjectFile("docker-compose.yml")).not.toMatch(/\$\{/);
});

test("everything that is published is published on this machine only", () => {
  expect(services.flatMap(({ ports }) => ports).filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
});

test("holdfast runs as an account of its own, on a read-only root, with no capabilities", () => {
  const { read_only, cap_drop, user } = service("holdfast");
  expect({ read_only, cap_drop, user }).toEqual({ read_only: true, cap_drop: ["ALL"], user: undefined });
  const dockerfile = readProjectFile("Dockerfile");
  expect(dockerfile).toMatch(new RegExp(`^USER ${HOLDFAST_UID}:${HOLDFAST_UID}$`, "m"));
  expect(readProjectFile("deploy/compose/make-secrets.sh")).toContain(`give ${HOLDFAST_UID} /secrets/holdfast`);
  expect(service("postgres").image.startsWith(`postgres:${/postgresql-(\d+)/.exec(dockerfile)?.[1]}-`)).toBe(true);
});

test("the image is made of files that are there and not kept out", () => {
  const copied = [...readProjectFile("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => (match[1] ?? "").split(" "));
  const letIn = [...readProjectFile(".dockerignore").matchAll(/^!(.+)$/gm)].map((match) => match[1] ?? "");
  expect(new Set(copied)).toEqual(new Set(letIn));
  expect(copied.filter((file) => !existsSync(join(PROJECT_ROOT, file)))).toEqual([]);
});

test("the inventory and its policy are valid, and can hold their objectives", async () => {
  const { stdout } = await run(process.execPath, ["src/main.ts", "policy", "validate", "--json", "--config", "deploy/compose/holdfast.yaml"], { cwd: PROJECT_ROOT });
  expect(JSON.parse(stdout)).toEqual({ valid: true, feasible: true, findings: [] });
});

test("what the inventory names is mounted where it says", () => {
  const text = readProjectFile("deploy/compose/holdfast.yaml");
  const paths = [...text.matchAll(/file:(?:\/\/)?(\/[^"\s]+)|(?:state|directory): (\/[^,\s]+)/g)].map((match) => match[1] ?? match[2] ?? "");
  const targets = mounts.filter((mount) => mount.service === "holdfast").map(({ target }) => target);
  expect(paths.length).toBeGreaterThan(4);
  expect(paths.filter((path) => !targets.some((target) => path === target || path.startsWith(`${target}/`)))).toEqual([]);
});

test("prometheus scrapes the address the API listens on, from within its network", () => {
  const listen = /listen: "([^"]+)"/.exec(readProjectFile("deploy/compose/holdfast.yaml"))?.[1];
  const scraped = z.object({ scrape_configs: z.array(z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) })) });
  const targets = scraped.parse(parse(readProjectFile("deploy/compose/prometheus.yml"))).scrape_configs.flatMap((job) => job.static_configs.flatMap((one) => one.targets));
  expect(targets).toEqual([listen]);
  expect(service("prometheus").network_mode).toBe("service:holdfast");
  expect(readProjectFile("deploy/compose/grafana/provisioning/datasources/prometheus.yaml")).toContain('url: "http://holdfast:9090"');
});

test("the dashboard shows metrics that exist, from the data source that is provisioned", () => {
  const text = readProjectFile("deploy/compose/grafana/dashboards/holdfast.json");
  const known = new Set([...readProjectFile("src/api/metrics.ts").matchAll(/"(holdfast_[a-z_]+)"/g)].map((match) => match[1]));
  const used = new Set([...text.matchAll(/holdfast_[a-z_]+/g)].map(([name]) => name));
  expect(used.size).toBeGreaterThan(6);
  expect([...used].filter((name) => !known.has(name))).toEqual([]);
  const uids = [...text.matchAll(/"type": "prometheus",\s*"uid": "([^"]+)"/g)].map((match) => match[1]);
  expect(uids.length).toBeGreaterThan(6);
  expect(new Set(uids)).toEqual(new Set(["prometheus"]));
  expect(readProjectFile("deploy/compose/grafana/provisioning/datasources/prometheus.yaml")).toContain("uid: prometheus");
});

test("the role of the source has just the grants that are needed", () => {
  const granted = [...readProjectFile("deploy/compose/postgres-role.sh").matchAll(/^ {2}pg_catalog\.([^\n]+?),?$/gm)].map((match) => match[1]);
  expect(granted).toEqual(neededFunctions(17));
});

test.each(["deploy/compose/make-secrets.sh", "deploy/compose/postgres-role.sh"])("%s is a script without mistakes of syntax", async (file) => {
  expect(statSync(join(PROJECT_ROOT, file)).size).toBeGreaterThan(0);
  await run("/bin/bash", ["-n", join(PROJECT_ROOT, file)]);
});

const missing = await whatIsMissing();

describe("the services", () => {
  if (missing !== null) test.skip(`${NOT_RUN}${missing}`);
  else test("start, and holdfast protects the source", { timeout: 900_000 }, startsAndProtects);
});

const PROJECT = `holdfast-test-${process.pid}`;

/** Everything up, a first backup by the scheduler, Prometheus sees Holdfast; and nothing is left. */
async function startsAndProtects(): Promise<void> {
  const docker = async (...args: string[]): Promise<string> => (await run("docker", ["compose", "-p", PROJECT, ...args], { cwd: PROJECT_ROOT, maxBuffer: 1 << 26 })).stdout;
  try {
    await docker("up", "--build", "--detach", "holdfast", "prometheus");
    await expect.poll(async () => docker("exec", "-T", "holdfast", "holdfast", "info", "--json"), { timeout: 300_000, interval: 5000 }).toContain('"state": "complete"');
    await expect
      .poll(async () => docker("exec", "-T", "prometheus", "wget", "-qO-", "http://127.0.0.1:9090/api/v1/query?query=up"), { timeout: 120_000, interval: 5000 })
      .toMatch(/"holdfast".*"1"/);
  } finally {
    await docker("down", "--volumes", "--timeout", "20");
  }
}

/** What keeps this machine from starting the services, or null. */
async function whatIsMissing(): Promise<string | null> {
  try {
    await run("docker", ["info"], { timeout: 10_000 });
  } catch {
    return "no container engine runs here";
  }
  try {
    await run("docker", ["compose", "version"], { timeout: 10_000 });
  } catch {
    return "the container engine here comes without 'docker compose'";
  }
  const [base = ""] = /node:\S+/.exec(readProjectFile("Dockerfile")) ?? [];
  const images = [base, ...services.filter(({ name }) => name === "postgres" || name === "prometheus").map(({ image }) => image)];
  for (const image of images) {
    const reachable = await run("docker", ["manifest", "inspect", image], { timeout: 20_000 }).catch(() =>
      run("docker", ["image", "inspect", image], { timeout: 10_000 }).catch(() => null),
    );
    if (reachable === null) return `the container image ${image} cannot be had here`;
  }
  return null;
}
