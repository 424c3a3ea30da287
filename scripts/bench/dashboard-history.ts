import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { recordExposure } from "../../src/catalog/observations.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { makeToken } from "../../src/access/token.ts";
import { applyEntry, lastApplied } from "../../src/catalog/apply-entry.ts";
import { saveSnapshot } from "../../src/catalog/snapshots.ts";
import type { SourceInfo } from "../../src/domain/source-info.ts";

/** A catalog as years of work would leave it, written by the functions that write it in earnest. */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The host of the measurement: its tokens count. */
export const WRITER = "5f".repeat(32);
const TEAMS = ["payments", "web", "search", "ledger", "mobile"] as const;
const KEPT_BACKUPS = 40;

function sourceName(index: number): string {
  return `source-${String(index).padStart(4, "0")}`;
}

export async function writeInventory(folder: string, sources: number): Promise<string> {
  await mkdir(join(folder, "policies"), { recursive: true });
  const repository = `{ url: "file://${folder}/repository", encryption: { passphrase: env:HOLDFAST_KEY } }`;
  const named = Array.from(
    { length: sources },
    (_, index) => `  ${sourceName(index)}: { connection: env:U, policy: bench, tier: critical, dataClass: user, labels: { team: ${TEAMS[index % TEAMS.length]} } }`,
  );
  await writeFile(join(folder, "policies/bench.yaml"), POLICY);
  const file = join(folder, "holdfast.yaml");
  await writeFile(file, ["version: 1", `repositories: { onsite: ${repository}, cloud: ${repository.replace("/repository", "/cloud")} }`, "sources:", ...named, ""].join("\n"));
  return file;
}

const POLICY = `version: 1
name: bench
backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite, cloud] }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: 30d, repositories: [onsite, cloud] }
  log: { schedule: stream, retention: 24h, repositories: [onsite, cloud] }
verify: { schedule: { cron: "0 3 * * *" }, tier: decoded }
drills: { schedule: { cron: "0 4 * * 1" }, select: latest }
`;

/** For each source and day a backup and a verification, for each week a drill; now and then one that failed. Returns how many runs. */
export function fillHistory(catalog: Catalog, { sources, days, now }: { sources: number; days: number; now: Date }): number {
  let sequence = 0;
  let runs = 0;
  const record = (kind: string, at: Date, facts: Readonly<Record<string, unknown>>): void =>
    applyEntry(catalog, { writer: WRITER, sequence: ++sequence, at: at.toISOString(), kind, facts });
  const ran = (source: string, operation: string, type: string | null, at: Date, figures: object, outcome = "succeeded"): void => {
    const run = `${at.getTime().toString(36)}-${(++runs).toString(36)}`;
    record("run.started", at, { run, source, operation, type, trigger: "schedule", scheduledFor: at.toISOString(), holder: { host: "db1", pid: 1 } });
    record("run.finished", new Date(at.getTime() + 90_000), { run, source, operation, type, outcome, reason: outcome === "succeeded" ? null : "HF-STORAGE: no answer", figures });
  };
  const copies = ["onsite", "cloud"].map((repository) => ({ repository, state: "complete" }));
  for (let day = days; day >= 1; day--)
    for (let index = 0; index < sources; index++) {
      const source = sourceName(index);
      const at = new Date(now.getTime() - day * DAY_MS + index * 1000);
      const type = day % 7 === 0 ? "full" : "incremental";
      ran(source, "backup", type, at, { id: `${at.toISOString()}-${type}`, copies, storedBytes: 90_000_000 }, (day * 31 + index) % 211 === 0 ? "failed" : "succeeded");
      ran(source, "verify", null, new Date(at.getTime() + HOUR_MS), { ok: true, tier: "decoded", objects: 412, bytes: 7e8, repositories: ["onsite", "cloud"], damage: [] });
      if (day % 7 === 1) ran(source, "drill", null, new Date(at.getTime() + 2 * HOUR_MS), DRILL);
    }
  for (let index = 0; index < sources; index++) look(catalog, index, now);
  return runs;
}

/** A token of a role, on record as `holdfast token add` leaves it. */
export function addToken(catalog: Catalog, role: "viewer" | "metrics", now: Date): string {
  const { id, token, sha256 } = makeToken();
  const facts = { id, name: role, role, scope: null, sha256, expiresAt: null, by: "bench" };
  applyEntry(catalog, { writer: WRITER, sequence: lastApplied(catalog, WRITER) + 1, at: now.toISOString(), kind: "token.added", facts });
  return token;
}

/** What observing a source leaves behind: a snapshot and a sample of each copy. Some sources are worse than others. */
export function look(catalog: Catalog, index: number, now: Date): void {
  const source = sourceName(index);
  saveSnapshot(catalog, now, infoOf(source, now));
  const seconds = index % 40 === 3 ? 1200 : (index % 13) + (now.getTime() % 7);
  for (const repository of ["onsite", "cloud"]) recordExposure(catalog, { source, repository, at: now.toISOString(), seconds, bytes: seconds * 4096 });
}

const DRILL = {
  verdict: "pass",
  fault: null,
  backupId: "20261101T020000Z-full",
  repository: "onsite",
  target: "latest",
  expectedLsn: "0/5000148",
  achievedLsn: "0/5000148",
  heartbeatOk: true,
  rtoActualSeconds: 195,
  rtoObjectiveSeconds: 900,
  rpoActualSeconds: 2,
  rpoObjectiveSeconds: 900,
  phases: [
    { name: "restore", seconds: 130 },
    { name: "recover", seconds: 40 },
  ],
  checks: [{ name: "reached the target", required: true, outcome: "pass", detail: "0/5000148", fault: "backup" }],
  bytes: 734_003_200,
  walSegments: 12,
};

function infoOf(name: string, now: Date): SourceInfo {
  const copies = ["onsite", "cloud"].map((repository) => ({ repository, state: "complete" as const, verifiedTier: null, verifiedAt: null, error: null }));
  const backups = Array.from({ length: KEPT_BACKUPS }, (_, day): SourceInfo["backups"][number] => {
    const at = new Date(Math.floor(now.getTime() / DAY_MS) * DAY_MS - day * DAY_MS);
    const id = (before: number): string => `${new Date(at.getTime() - before * DAY_MS).toISOString().replaceAll(/[-:]|\.\d+/g, "")}-incr`;
    const sizes = { sourceBytes: 734_003_200, readBytes: 734_003_200, storedBytes: 90_000_000, durationSeconds: 90, corruptPages: 0 };
    const made = { startedAt: at.toISOString(), finishedAt: new Date(at.getTime() + 90_000).toISOString(), startLsn: "0/4000028", stopLsn: "0/4100000" };
    const change = { changeSource: "server-summaries" as const, changeSourceReason: "the server summarises its WAL" };
    return { id: id(0), type: "incremental", state: "complete", parentId: id(1), heldBy: [], pinned: null, held: null, expiresAt: null, copies, ...sizes, ...made, ...change };
  });
  const windows = ["onsite", "cloud"].map((repository) => ({
    repository,
    timeline: 1,
    from: new Date(now.getTime() - DAY_MS).toISOString(),
    to: new Date(now.getTime() - 2000).toISOString(),
    startLsn: "0/4100000",
    endLsn: "0/9000148",
  }));
  return { name, systemIdentifier: "7571234567890123456", timeline: 1, held: null, backups, windows, gaps: [], exposure: [], lastProof: null };
}
