import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openHttpReceiver } from "../support/http-receiver.ts";
import { freePort } from "../support/postmaster.ts";
import { eventually } from "../support/restored.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { startMain } from "../support/site.ts";

/** A log backup every 15 minutes never holds an RPO of five: P3, raised at the first look. No server and no repository is needed to say it. */
const POLICY = `version: 1
name: guide
objectives: { rpo: 5m }
backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite] }
  log: { schedule: { every: 15m }, retention: 24h, repositories: [onsite] }
`;

test("serve killed with -9 between raising an alert and its being taken sends it after the restart, and the secret is nowhere to be read", async () => {
  await using folder = await openScratchFolder();
  await using receiver = await openHttpReceiver();
  await mkdir(join(folder.path, "policies"));
  await writeFile(join(folder.path, "policies/guide.yaml"), POLICY);
  await writeFile(
    join(folder.path, "holdfast.yaml"),
    `version: 1
repositories: { onsite: { url: "file://${folder.path}/onsite", encryption: { passphrase: env:SITE_KEY } } }
sources: { orders: { connection: env:SITE_URL, policy: guide } }
channels: { team: { slack: env:SITE_SLACK } }
api: { listen: "127.0.0.1:${await freePort()}" }
`,
  );
  const env = { SITE_KEY: "abcde-fghij-klmno-pqrst-uvwxy-z2345", SITE_URL: "postgres://127.0.0.1:1/postgres", SITE_SLACK: `${receiver.url}/services/sek-9f8e7d6c5b4a` };
  const told = (): string[] => receiver.received.map(({ body }) => (JSON.parse(body) as { text: string }).text);
  const serve = (): ReturnType<typeof startMain> => startMain({ ...env, HOLDFAST_CONFIG: join(folder.path, "holdfast.yaml") }, "serve");

  receiver.answer("hang");
  using first = serve();
  await eventually("the alert is on its way", async () => told().length > 0, 60_000);
  first.process.kill("SIGKILL");
  await first.ended();

  using second = serve();
  await eventually("it is sent again", async () => told().length > 1, 60_000);
  second.process.kill("SIGTERM");
  expect((await second.ended()).exitCode).toBe(0);
  expect(new Set(told()).size).toBe(1);
  expect(told()[0]).toMatch(/^\*P3 guide\.yaml:6: a log backup every 15m loses up to 15m/);
  expect(first.output() + second.output()).not.toContain("sek-9f8e7d6c5b4a");

  using list = startMain({ ...env, HOLDFAST_CONFIG: join(folder.path, "holdfast.yaml") }, "alert", "list", "--json");
  const { alerts } = (await list.ended()).json<{ alerts: { kind: string; state: string }[] }>();
  expect(alerts.filter(({ kind }) => kind === "policy_infeasible").map(({ state }) => state)).toEqual(["open"]);
});
