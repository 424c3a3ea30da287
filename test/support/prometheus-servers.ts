import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { openScratchFolder } from "./scratch-folder.ts";

/** Real Prometheus and Alertmanager of the distribution, which scrape, judge and notify every second, and a receiver that keeps what it was told. */
const PROGRAMS = ["prometheus", "prometheus-alertmanager"] as const;

/** Why nothing can be tested here; null: it can. */
export const noPrometheus: string | null = PROGRAMS.every((program) => spawnSync(program, ["--version"]).status === 0)
  ? null
  : `there is no ${PROGRAMS.join(" and ")} here (apt-get install)`;

interface Notice {
  readonly name: string;
  readonly state: string;
}

export interface PrometheusServers extends AsyncDisposable {
  readonly notices: readonly Notice[];
  /** Names of rules that fire now. */
  firing(): Promise<Set<string>>;
  /** How many series a query finds now. */
  query(expression: string): Promise<number>;
  /** Names of alerts that the Alertmanager holds. */
  held(): Promise<Set<string>>;
}

/** `target`: host and port of what is scraped. `rules`: a file of rules, in which whatever has to last, or to lie so far back, does so for a second or some. */
export async function openPrometheus(target: string, rules: string): Promise<PrometheusServers> {
  const folder = await openScratchFolder();
  const notices: Notice[] = [];
  const receiver = createServer((request, response) => void receive(request, notices).then(() => response.end()));
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const [prometheusPort, alertmanagerPort] = [await freePort(), await freePort()];
  const place = (name: string): string => join(folder.path, name);
  await writeFile(place("rules.yaml"), hastened(await readFile(rules, "utf8")));
  await writeFile(place("prometheus.yaml"), prometheusConfig(target, alertmanagerPort));
  await writeFile(place("alertmanager.yaml"), alertmanagerConfig((receiver.address() as AddressInfo).port));
  await mkdir(place("data"));
  const run = (program: (typeof PROGRAMS)[number], args: readonly string[]): ChildProcess => {
    const log = openSync(place(`${program}.log`), "w");
    return spawn(program, args, { cwd: folder.path, stdio: ["ignore", log, log] });
  };
  const alertmanager = run("prometheus-alertmanager", [
    "--config.file=alertmanager.yaml",
    "--storage.path=data/alertmanager",
    `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
    "--cluster.listen-address=",
  ]);
  const prometheus = run("prometheus", ["--config.file=prometheus.yaml", "--storage.tsdb.path=data/prometheus", `--web.listen-address=127.0.0.1:${prometheusPort}`]);
  const json = async <T>(port: number, path: string): Promise<T> => (await fetch(`http://127.0.0.1:${port}${path}`)).json() as Promise<T>;
  return {
    notices,
    firing: async () => {
      const answer = await json<{ data: { alerts: { state: string; labels: { alertname: string } }[] } }>(prometheusPort, "/api/v1/alerts").catch(() => null);
      return new Set(answer?.data.alerts.filter(({ state }) => state === "firing").map(({ labels }) => labels.alertname));
    },
    query: async (expression) => {
      const answer = await json<{ status: string; error?: string; data: { result: unknown[] } }>(prometheusPort, `/api/v1/query?query=${encodeURIComponent(expression)}`);
      if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`);
      return answer.data.result.length;
    },
    held: async () => new Set((await json<{ labels: { alertname: string } }[]>(alertmanagerPort, "/api/v2/alerts")).map(({ labels }) => labels.alertname)),
    [Symbol.asyncDispose]: async () => {
      for (const child of [prometheus, alertmanager]) {
        if (child.exitCode === null) {
          child.kill("SIGKILL");
          await once(child, "exit");
        }
      }
      receiver.closeAllConnections();
      receiver.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function receive(request: AsyncIterable<Buffer>, notices: Notice[]): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const { alerts } = JSON.parse(Buffer.concat(parts).toString()) as { alerts: { status: string; labels: { alertname: string } }[] };
  notices.push(...alerts.map(({ status, labels }) => ({ name: labels.alertname, state: status })));
}

/** The same rules, in a hurry: no rule waits, and what counts within an hour counts within seconds. */
function hastened(rules: string): string {
  return rules.replaceAll(/^ +for: .*\n/gm, "").replaceAll("[1h]", "[15s]");
}

function prometheusConfig(target: string, alertmanagerPort: number): string {
  return `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [rules.yaml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ["127.0.0.1:${alertmanagerPort}"] }] }] }
scrape_configs: [{ job_name: holdfast, static_configs: [{ targets: ["${target}"] }] }]
`;
}

function alertmanagerConfig(receiverPort: number): string {
  return `route: { receiver: here, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers: [{ name: here, webhook_configs: [{ url: "http://127.0.0.1:${receiverPort}/", send_resolved: true }] }]
`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
