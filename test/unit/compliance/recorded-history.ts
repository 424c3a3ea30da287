import { join } from "node:path";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { recordExposure } from "../../../src/catalog/observations.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { saveSnapshot } from "../../../src/catalog/snapshots.ts";
import type { SourceInfo } from "../../../src/domain/source-info.ts";
import { loadInventory } from "../../../src/policy/load.ts";
import { formatProblems } from "../../../src/policy/problem.ts";
import type { Inventory } from "../../../src/policy/types.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import { configurationFolder } from "../policy/configuration-folder.ts";

/** A catalog in a folder of its own, filled the way the program fills it: from evidence entries, exposure samples and snapshots. */
export const WRITER = "5f".repeat(32);

export interface Ran {
  readonly source?: string;
  readonly operation: string;
  readonly type?: string | null;
  readonly at: string;
  readonly seconds?: number;
  readonly slot?: string | null;
  readonly outcome?: "succeeded" | "failed" | "cancelled" | "interrupted";
  readonly reason?: string | null;
  readonly figures?: Readonly<Record<string, unknown>>;
  readonly verified?: readonly { repository: string; source: string; backup: string; tier: string; ok: boolean }[];
}

export class History implements AsyncDisposable {
  readonly catalog: Catalog;
  readonly #file: string;
  readonly #close: () => PromiseLike<void>;
  #sequence = 0;

  constructor(file: string, close: () => PromiseLike<void>) {
    this.#file = file;
    this.catalog = Catalog.open(file);
    this.#close = close;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** As another process has it. */
  openAgain(): Catalog {
    return Catalog.open(this.#file);
  }

  entry(kind: string, at: string, facts: Readonly<Record<string, unknown>>): void {
    applyEntry(this.catalog, { writer: WRITER, sequence: ++this.#sequence, at: iso(at), kind, facts });
  }

  /** A run from start to end; returns its id. */
  ran({ source = "orders", operation, type = null, at, seconds = 60, slot = null, outcome = "succeeded", reason = null, figures = {}, verified = [] }: Ran): string {
    const run = this.began({ source, operation, type, at, slot });
    const end = new Date(Date.parse(iso(at)) + seconds * 1000).toISOString();
    this.entry("run.finished", end, { run, source, operation, type, outcome, reason, figures, verified });
    return run;
  }

  /** A run that has begun; returns its id. */
  began({ source = "orders", operation, type = null, at, slot = null }: Ran): string {
    const run = `${iso(at).replaceAll(/[-:.]/g, "")}-${operation}-${this.#sequence.toString(36)}`;
    this.entry("run.started", at, {
      run,
      source,
      operation,
      type,
      trigger: slot === null ? "manual" : "schedule",
      scheduledFor: slot === null ? null : iso(slot),
      holder: { host: "db1", pid: 1 },
    });
    return run;
  }

  passedOver(what: {
    source?: string;
    operation: string;
    type?: string | null;
    slot: string;
    until?: string;
    slots?: number;
    outcome?: "missed" | "superseded";
    at?: string;
  }): void {
    const { source = "orders", operation, type = null, slot, until, slots = 1, outcome = "missed", at = until ?? slot } = what;
    this.entry("run.missed", at, {
      run: `passed-${this.#sequence}`,
      source,
      operation,
      type,
      trigger: "schedule",
      scheduledFor: iso(slot),
      outcome,
      until: until === undefined ? null : iso(until),
      slots,
      reason: outcome === "missed" ? "nothing ran at its time" : "a stronger backup falls due within the same hour",
    });
  }

  drilled(at: string, figures: Readonly<Record<string, unknown>> = {}, more: Partial<Ran> = {}): string {
    const verdict = typeof figures["verdict"] === "string" ? figures["verdict"] : "pass";
    const passed = verdict === "pass" || verdict === "pass_with_warnings";
    const reason = passed ? null : "table count: found 3, expected at least 1000";
    return this.ran({ operation: "drill", at, seconds: 300, outcome: passed ? "succeeded" : "failed", reason, figures: { ...DRILL_FIGURES, ...figures }, ...more });
  }

  /** Samples of one copy, every `everySeconds` in [from, to). */
  observed({
    source = "orders",
    repository = "onsite",
    from,
    to,
    everySeconds = 15,
    seconds,
  }: {
    source?: string;
    repository?: string;
    from: string;
    to: string;
    everySeconds?: number;
    seconds: (at: Date) => number | null;
  }): void {
    this.catalog.transaction(() => {
      for (let ms = Date.parse(iso(from)); ms < Date.parse(iso(to)); ms += everySeconds * 1000) {
        const value = seconds(new Date(ms));
        recordExposure(this.catalog, { source, repository, at: new Date(ms).toISOString(), seconds: value, bytes: value === null ? null : Math.round(value * 4096) });
      }
    });
  }

  seen(at: string, info: Partial<SourceInfo> = {}): void {
    saveSnapshot(this.catalog, new Date(iso(at)), { ...SNAPSHOT, ...info });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.catalog[Symbol.dispose]();
    await this.#close();
  }
}

export async function openHistory(): Promise<History> {
  const folder = await openScratchFolder();
  return new History(join(folder.path, "catalog.sqlite"), () => folder[Symbol.asyncDispose]());
}

/** `2026-11-02 04:00` as the catalog writes it. */
export function iso(text: string): string {
  return new Date(text.endsWith("Z") ? text : `${text.replace(" ", "T")}Z`).toISOString();
}

const DRILL_FIGURES = {
  id: "20261102T040000000Z-1a-1",
  verdict: "pass",
  fault: null,
  reasons: [],
  backupId: "20261101T020000Z-full",
  repository: "onsite",
  target: "latest",
  expectedLsn: "0/5000148",
  achievedLsn: "0/5000148",
  heartbeatOk: true,
  rtoActualSeconds: 412.5,
  rtoObjectiveSeconds: 900,
  rpoActualSeconds: 2.25,
  rpoObjectiveSeconds: 300,
  phases: [
    { name: "restore", seconds: 360.1 },
    { name: "recover", seconds: 40.2 },
  ],
  checks: [
    { name: "reached the target", required: true, outcome: "pass", detail: "0/5000148", fault: "backup" },
    { name: "orders count", required: true, outcome: "pass", detail: "found 120034", fault: "backup" },
  ],
  bytes: 734_003_200,
  walSegments: 12,
  keptAt: null,
  seed: "9b1c0de29b1c0de29b1c0de29b1c0de2",
};

export const VERIFY_FIGURES = { ok: true, tier: "decoded", objects: 412, bytes: 734_003_200, damage: [], repositories: ["onsite", "cloud"] };

const COPY = { state: "complete", verifiedTier: null, verifiedAt: null, error: null } as const;

export const SNAPSHOT: SourceInfo = {
  name: "orders",
  systemIdentifier: "7571234567890123456",
  timeline: 1,
  held: null,
  backups: [
    {
      id: "20261101T020000Z-full",
      type: "full",
      state: "complete",
      parentId: null,
      startLsn: "0/3000028",
      stopLsn: "0/4000028",
      startedAt: "2026-11-01T02:00:00.000Z",
      finishedAt: "2026-11-01T02:12:00.000Z",
      sourceBytes: 734_003_200,
      readBytes: 734_003_200,
      storedBytes: 201_326_592,
      durationSeconds: 720,
      changeSource: "everything",
      changeSourceReason: "a full backup reads everything",
      corruptPages: 0,
      copies: [
        { repository: "onsite", ...COPY },
        { repository: "cloud", ...COPY },
      ],
      heldBy: [],
      pinned: null,
      held: null,
      expiresAt: null,
    },
  ],
  windows: [
    { repository: "onsite", timeline: 1, from: "2026-11-01T02:11:00.000000Z", to: "2026-11-08T11:59:50.000000Z", startLsn: "0/4000028", endLsn: "0/5000148" },
    { repository: "cloud", timeline: 1, from: "2026-11-01T02:11:00.000000Z", to: "2026-11-08T11:59:40.000000Z", startLsn: "0/4000028", endLsn: "0/5000000" },
  ],
  gaps: [],
  exposure: [],
  lastProof: null,
};

const POLICY = `version: 1
name: critical
objectives: { rto: 15m, rpo: 5m }
backups:
  full:        { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite, cloud], verify: decoded }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: 30d, repositories: [onsite, cloud], verify: decoded }
  log:         { schedule: stream, retention: 24h, repositories: [onsite, cloud] }
verify: { schedule: { cron: "0 3 * * *" }, tier: decoded }
drills:
  schedule: { cron: "0 4 * * 1" }
  select: random
  checks: [{ sql: "select count(*) from secret_table", database: app, expect: { min: 1000 } }]
`;

const INVENTORY = (listen: string): string => `version: 1
repositories:
  onsite: { url: file:///srv/holdfast, site: primary, class: fast, encryption: { passphrase: env:HOLDFAST_KEY } }
  cloud: { url: file:///mnt/offsite, site: secondary, encryption: { passphrase: file:/etc/holdfast/key } }
sources:
  orders: { connection: env:ORDERS_URL, dataDirectory: /var/lib/postgresql/17/main, policy: critical, tier: critical, dataClass: financial, labels: { team: payments } }
  wiki: { connection: env:WIKI_URL, policy: critical, tier: standard, dataClass: application }
api: { listen: "${listen}", demo: true }
`;

/** An inventory as it is loaded from files: `orders` and `wiki`, with one policy, in two repositories. */
export async function loadTestInventory(listen = "127.0.0.1:8420"): Promise<Inventory> {
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY(listen), "policies/critical.yaml": POLICY });
  const result = await loadInventory(folder.inventory);
  if (!result.ok) throw new Error(formatProblems(result.problems));
  return result.inventory;
}

/** A day on which something of everything happened. */
export async function eventfulDay(): Promise<History> {
  const history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00", figures: { id: "20261101T020001Z-full" } });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-01 02:00", outcome: "superseded" });
  history.passedOver({ source: "wiki", operation: "backup", type: "incremental", slot: "2026-11-01 02:00", until: "2026-11-01 12:00", slots: 5 });
  history.ran({
    operation: "verify",
    at: "2026-11-01 03:00:01",
    figures: VERIFY_FIGURES,
    verified: [{ repository: "onsite", source: "orders", backup: "20261101T020000Z-full", tier: "decoded", ok: true }],
  });
  history.drilled("2026-11-01 04:00:00", { rtoActualSeconds: 412.5 });
  history.drilled("2026-11-01 05:00:00", { rtoActualSeconds: 1013.25, verdict: "fail" });
  history.observed({ repository: "onsite", from: "2026-11-01 00:00", to: "2026-11-02 00:00", everySeconds: 30, seconds: (at) => (at.getUTCHours() === 6 ? 400.5 : 2) });
  history.observed({ repository: "cloud", from: "2026-11-01 00:00", to: "2026-11-01 18:00", everySeconds: 30, seconds: () => 31 });
  history.seen("2026-11-01 23:00", {
    gaps: [{ repository: "onsite", timeline: 1, startLsn: "0/6000000", endLsn: "0/7000000", firstSegment: "000000010000000000000006", lastSegment: "000000010000000000000006" }],
  });
  return history;
}
