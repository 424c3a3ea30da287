import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { openHttpReceiver } from "../support/http-receiver.ts";
import type { HttpReceiver } from "../support/http-receiver.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { freePort } from "../support/postmaster.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

const POLICY = (hooks: string): string => `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite] }
  log: { schedule: stream, retention: 24h, repositories: [onsite] }
hooks: ${hooks}
`;

interface ListedAlert {
  readonly key: string;
  readonly severity: string;
  readonly state: string;
}

describePostgres("hooks and alerts around a real backup", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let receiver: HttpReceiver;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries }));
    receiver = stack.use(await openHttpReceiver());
    site = stack.use(
      await openSite({
        cluster: source,
        policy: POLICY("{ beforeBackup: [./hooks/before.sh], afterBackup: [./hooks/after.sh], onFailure: [./hooks/failure.sh] }"),
        env: { SITE_PD: "R0123456789", SITE_ALIVE: `${receiver.url}/alive/sek-9f8e7d6c5b4a` },
        inventoryExtra: [
          `channels: { oncall: { pagerduty: env:SITE_PD, endpoint: "${receiver.url}" } }`,
          "alive: { url: env:SITE_ALIVE, every: 1s }",
          `api: { listen: "127.0.0.1:${await freePort()}" }`,
        ],
      }),
    );
    await mkdir(join(site.folder, "hooks"));
    await hook("before", "exit 0");
    await hook("after", "exit 0");
    await hook("failure", 'echo "$HOLDFAST_REASON" > told');
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  async function hook(name: string, script: string): Promise<void> {
    const file = join(site.folder, `hooks/${name}.sh`);
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
  }
  const sent = (): { event_action: string; payload?: { class: string } }[] =>
    receiver.received.filter(({ path }) => path === "/v2/enqueue").map(({ body }) => JSON.parse(body) as { event_action: string; payload?: { class: string } });
  const pings = (): number => receiver.received.filter(({ path }) => path.startsWith("/alive/")).length;
  const alerts = async (): Promise<ListedAlert[]> => (await site.run("alert", "list", "--json")).json<{ alerts: ListedAlert[] }>().alerts;

  test("a beforeBackup that fails leaves no backup; afterBackup that fails leaves a whole one; a hook that failed is an alert, a lost server pages, and the dead man's switch is let go", async () => {
    await hook("before", "echo busy; exit 1");
    const refused = await site.run("backup", "db", "--type", "full", "--json");
    expect(refused.exitCode, refused.stderr).toBe(3);
    expect(refused.json<{ error: { code: string } }>().error.code).toBe("HF-HOOK");
    expect(await readFile(join(site.folder, "told"), "utf8")).toBe("the hook beforeBackup failed: exit code 1: busy\n");
    expect((await site.run("info", "--json")).json<{ sources: { backups: unknown[] }[] }>().sources[0]?.backups).toEqual([]);

    await hook("before", "exit 0");
    await hook("after", "exit 9");
    const made = await site.run("backup", "db", "--type", "full", "--json");
    expect(made.exitCode, made.stderr).toBe(0);
    expect(made.stderr).toContain("note: the hook afterBackup failed: exit code 9");

    const serving = site.start({}, "serve");
    await eventually("the dead man's switch is pressed", async () => pings() > 0, 60_000);
    await eventually("the hook is an alert", async () => (await alerts()).some(({ key }) => key.startsWith("hook_failed/db")), 60_000);

    await source.stop();
    await eventually("the lost server is paged", async () => sent().some(({ payload }) => payload?.class === "source_unreachable"), 240_000);
    // Known to be lost for two minutes: five more intervals of the switch.
    const letGo = pings();
    await new Promise((resolve) => {
      setTimeout(resolve, 5000);
    });
    expect(pings()).toBe(letGo);
    const open = (await alerts()).find(({ key }) => key === "source_unreachable/db");
    expect(open).toMatchObject({ severity: "P2", state: "open" });
    serving.process.kill("SIGTERM");
    expect((await serving.ended()).exitCode).toBe(0);
    expect(serving.output()).not.toContain("sek-9f8e7d6c5b4a");
    expect(serving.output()).not.toContain("R0123456789");
  });
});
