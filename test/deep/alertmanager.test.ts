import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AlertmanagerSender } from "../../src/alerts/alertmanager-sender.ts";
import { listChannelHealth } from "../../src/catalog/alert-deliveries.ts";
import { applyEntry } from "../../src/catalog/apply-entry.ts";
import { systemClock } from "../../src/clock.ts";
import { startProgram } from "../../src/postgres/process.ts";
import { openHttpReceiver } from "../support/http-receiver.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { freePort } from "../support/postmaster.ts";
import { eventually } from "../support/restored.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { ALERT } from "../unit/alerts/some-alert.ts";
import { openHistory } from "../unit/compliance/recorded-history.ts";

const PROGRAM = "/usr/bin/prometheus-alertmanager";
const never = new AbortController().signal;

interface Told {
  readonly startsAt: string;
  readonly endsAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: { readonly state: string };
}

describe("Prometheus Alertmanager", () => {
  if (!existsSync(PROGRAM)) {
    test.skip(`${NOT_RUN}there is no ${PROGRAM} (Debian: prometheus-alertmanager)`, () => undefined);
    return;
  }

  test("takes what it is told, passes it on to its own receivers, and knows when it is over", async () => {
    await using folder = await openScratchFolder();
    await using receiver = await openHttpReceiver();
    await using history = await openHistory();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    await writeFile(
      join(folder.path, "alertmanager.yml"),
      `route: { receiver: test, group_by: [alertname, source], group_wait: 1s, group_interval: 1s, repeat_interval: 1h }
receivers: [{ name: test, webhook_configs: [{ url: "${receiver.url}/am", send_resolved: true }] }]
`,
    );
    const args = [`--config.file=${join(folder.path, "alertmanager.yml")}`, `--storage.path=${folder.path}`, `--web.listen-address=127.0.0.1:${port}`, "--cluster.listen-address="];
    let sequence = 0;
    const record = (kind: string, facts: Record<string, unknown>): void =>
      applyEntry(history.catalog, { writer: "c".repeat(64), sequence: ++sequence, at: systemClock.now().toISOString(), kind, facts });
    const sender = new AlertmanagerSender({ name: "am", kind: "alertmanager", severities: null }, url, { catalog: history.catalog, clock: systemClock, log: () => undefined });
    const { id, state: _, ...facts } = ALERT;
    record("alert.raised", { ...facts, alert: id });

    await sender.step(never);
    expect(listChannelHealth(history.catalog)).toMatchObject([{ channel: "am", error: "no connection (ECONNREFUSED)" }]);
    const manager = startProgram(PROGRAM, args, { runAs: null, cwd: folder.path, logFile: join(folder.path, "log") });
    try {
      await eventually("it is ready", async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok === true);
      await eventually("it was told", async () => {
        await sender.step(never);
        return (await told(url)).length === 1;
      });
      expect(listChannelHealth(history.catalog)).toMatchObject([{ error: null }]);
      const [alert] = await told(url);
      expect(alert).toMatchObject({
        labels: { alertname: "HoldfastWalGap", severity: "P1", source: "orders", repository: "onsite", key: ALERT.key },
        annotations: { summary: ALERT.title, runbook: ALERT.whatToDo, alert: id },
        status: { state: "active" },
      });
      // It forgets by itself what it is no longer told, and not before the next time.
      const believedMs = Date.parse(alert?.endsAt ?? "") - systemClock.now().getTime();
      expect(believedMs).toBeGreaterThan(120_000);
      expect(believedMs).toBeLessThanOrEqual(240_000);
      await eventually("it passed it on", async () => receiver.received.some(({ body }) => body.includes('"status":"firing"')));

      record("alert.resolved", { alert: id });
      await sender.step(never);
      await eventually("it is over there too", async () => (await told(url)).length === 0);
      await eventually("it passed that on", async () => receiver.received.some(({ body }) => body.includes('"status":"resolved"')));
    } finally {
      manager.signal("SIGTERM");
      await manager.ended;
    }
  });
});

async function told(url: string): Promise<Told[]> {
  return (await (await fetch(`${url}/api/v2/alerts?active=true`)).json()) as Told[];
}
