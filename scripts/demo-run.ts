import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { openApp } from "../src/app.ts";
import type { App } from "../src/app.ts";
import { stopwatch, systemClock } from "../src/clock.ts";
import type { SourceInfo, BackupView } from "../src/domain/source-info.ts";
import { parseLsn } from "../src/domain/lsn.ts";
import type { OperationContext } from "../src/operations/context.ts";
import { CopyView } from "../src/operations/copy-view.ts";
import type { DrillResult } from "../src/operations/drill/drill.ts";
import { chooseSource } from "../src/operations/installation.ts";
import { observeAndKeep } from "../src/operations/observe.ts";
import { runBackup } from "../src/operations/backup/run-backup.ts";
import { BY_HAND } from "../src/operations/record-run.ts";
import { runDrill } from "../src/operations/drill/run-drill.ts";
import { beatRegularly } from "../src/operations/drill/heartbeat.ts";
import { startLog } from "../src/operations/wal/run-log.ts";
import type { RunningStream } from "../src/operations/wal/run-stream.ts";
import { writeReport } from "../src/cli/write-report.ts";
import { runVerify } from "../src/operations/verify/run-verify.ts";
import type { VerifyView } from "../src/operations/verify/run-verify.ts";
import { createRepository } from "../src/repository/create-repository.ts";
import { formatPassphrase } from "../src/repository/identity.ts";
import { openLocalStore, prepareLocalStore } from "../src/storage/local-store.ts";
import type { DemoSource } from "./demo-source.ts";

export interface DemoFigures {
  readonly source: { readonly kind: "postgres"; readonly version: string; readonly systemIdentifier: string | null; readonly bytes: number; readonly commits: number };
  readonly backups: readonly BackupView[];
  readonly wal: { readonly segments: number; readonly lagSeconds: number | null; readonly gaps: SourceInfo["gaps"] };
  readonly verify: VerifyView;
  readonly drill: DrillResult;
  readonly report: { readonly path: string; readonly evidenceEntries: number };
  readonly durationSeconds: number;
}

export interface DemoStage {
  readonly folder: string;
  readonly source: DemoSource;
  readonly context: OperationContext;
  readonly say: (text: string) => void;
}

const LAG_SAMPLES = 10;

/** Every backup type with work in between, verification, a drill and a report, while somebody writes all the time and WAL is streamed. */
export async function runDemo({ folder, source, context, say }: DemoStage): Promise<DemoFigures> {
  const elapsed = stopwatch(systemClock);
  process.env["DEMO_SOURCE_URL"] = source.url;
  await writeInventory(folder, source);
  await using app = await openApp({ config: path.join(folder, "holdfast.yaml"), clock: systemClock, onNotice: say });
  const config = chooseSource(app.inventory, undefined);
  await fill(source);
  say("streaming WAL");
  const stream = await startLog(app, config, context, { onPosition: () => undefined });
  const heart = new AbortController();
  const beating = beatRegularly(app, config, { ...context, signal: AbortSignal.any([context.signal, heart.signal]) });
  const backups: BackupView[] = [];
  let lagSeconds: number;
  let verify: VerifyView;
  let drill: DrillResult;
  try {
    for (const type of ["full", "incremental", "differential", "incremental"] as const) {
      say(`${type} backup`);
      backups.push(await runBackup(app, { source: config, type, ...BY_HAND }, context));
      await change(source, backups.length);
    }
    lagSeconds = await measureLag(source, stream, context);
    say("verifying everything");
    ({ view: verify } = await runVerify(app, { source: config, backup: null, tier: "pages", repository: null, ...BY_HAND }, context));
    say("drill: restore, start, replay, check");
    drill = await runDrill(app, { source: config, select: "latest", to: null, repository: null, keep: false, ...BY_HAND }, context);
  } finally {
    heart.abort();
    await beating;
    await stream.stop();
  }
  return { ...(await conclude(app, { folder, source }, { backups, verify, drill, lagSeconds })), durationSeconds: elapsed() };
}

async function conclude(
  app: App,
  { folder, source }: Pick<DemoStage, "folder" | "source">,
  measured: { backups: BackupView[]; verify: VerifyView; drill: DrillResult; lagSeconds: number | null },
): Promise<Omit<DemoFigures, "durationSeconds">> {
  const config = chooseSource(app.inventory, undefined);
  const info = await observeAndKeep(app, config);
  const now = systemClock.now();
  const report = await writeReport(app, {
    from: new Date(now.getTime() - 86_400_000),
    to: new Date(now.getTime() + 1000),
    sources: null,
    formats: ["json", "html"],
    folder,
    sample: null,
    slots: false,
    asOf: null,
  });
  const [row] = (await source.query("select current_setting('server_version') as version, sum(pg_database_size(oid))::text as bytes from pg_database")).rows;
  const segments = await countSegments(app, config.name);
  return {
    source: { kind: "postgres", version: row?.["version"] ?? "unknown", systemIdentifier: info.systemIdentifier, bytes: Number(row?.["bytes"] ?? 0), commits: source.commits() },
    backups: measured.backups,
    wal: { segments, lagSeconds: measured.lagSeconds, gaps: info.gaps },
    verify: measured.verify,
    drill: measured.drill,
    report: { path: report.files[0] ?? folder, evidenceEntries: report.evidenceEntries },
  };
}

async function countSegments(app: App, source: string): Promise<number> {
  const view = await CopyView.open(await app.repository("onsite"), source);
  return view?.inventory.segments.size ?? 0;
}

async function writeInventory(folder: string, source: DemoSource): Promise<void> {
  const passphrase = formatPassphrase(randomBytes(30));
  await writeFile(path.join(folder, "demo.key"), `${passphrase}\n`, { mode: 0o600 });
  const repository = (name: string): string => `  ${name}: { url: "file://${path.join(folder, name)}", encryption: { passphrase: "file:${path.join(folder, "demo.key")}" } }`;
  const inventory = [
    "version: 1",
    "state: ./state",
    "repositories:",
    repository("onsite"),
    repository("offsite"),
    `postgres: { binaries: ["${source.binaries}"] }`,
    "scratch: { directory: ./scratch }",
    "sources:",
    "  shop: { kind: postgres, connection: env:DEMO_SOURCE_URL, policy: demo, tier: critical, dataClass: financial, heartbeat: true }",
    // Whoever is on this machine may look, without a token.
    "api: { listen: 127.0.0.1:8420, demo: true }",
    "",
  ];
  await mkdir(path.join(folder, "policies"), { recursive: true });
  await writeFile(path.join(folder, "holdfast.yaml"), inventory.join("\n"));
  await writeFile(path.join(folder, "policies/demo.yaml"), DEMO_POLICY);
  for (const name of ["onsite", "offsite"]) {
    const store = openLocalStore(path.join(folder, name));
    await prepareLocalStore(path.join(folder, name));
    await createRepository({ name, store, passphrase, now: systemClock.now() });
  }
}

/** The numbers of the mission's tables with schedules short enough to watch. */
const DEMO_POLICY = `version: 1
name: demo
backups:
  full: { schedule: { every: 10m }, retention: 12w, repositories: [onsite, offsite] }
  incremental: { schedule: { every: 1m }, retention: 30d, repositories: [onsite, offsite] }
  differential: { schedule: { every: 5m }, retention: 7d, repositories: [onsite] }
  log: { schedule: stream, retention: 24h, repositories: [onsite, offsite] }
verify: { schedule: { every: 5m }, tier: pages }
drills:
  schedule: { every: 10m }
  select: latest
  checks:
    - { sql: "select count(*) from customers", database: postgres, expect: { min: 20000 }, required: true }
`;

/** Rows that look like those of a shop: they compress about three times, not fifty. */
async function fill(source: DemoSource): Promise<void> {
  await source.query("create table customers (id int primary key, name text, email text unique, notes text, balance numeric)");
  await source.query(
    "insert into customers select g, md5(g::text), md5((g * 7)::text) || '@example.com', (select string_agg(md5((g * i)::text), ' ') from generate_series(1, 20) i), random() * 10000 from generate_series(1, 20000) g",
  );
  await source.query("create index on customers (name)");
  await source.query("create unlogged table carts as select * from customers limit 1000");
}

async function change(source: DemoSource, round: number): Promise<void> {
  await source.query(`update customers set balance = balance + 1 where id % 40 = ${round}`);
  await source.query(`delete from customers where id > 20000 + ${round}`);
  await source.query("vacuum customers");
}

/** How long a commit waits until it is durable with us: the slowest of some. */
async function measureLag(source: DemoSource, stream: RunningStream, context: OperationContext): Promise<number> {
  let slowest = 0;
  for (let i = 0; i < LAG_SAMPLES; i++) {
    const elapsed = stopwatch(systemClock);
    await source.query("insert into orders (customer, item) values (0, 'lag')");
    const [row] = (await source.query("select pg_current_wal_insert_lsn()::text as lsn")).rows;
    await stream.reached(parseLsn(row?.["lsn"] ?? "0/0"), context.signal);
    slowest = Math.max(slowest, elapsed());
  }
  return slowest;
}
