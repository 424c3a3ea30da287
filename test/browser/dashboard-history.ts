import { recordCapacity } from "../../src/catalog/capacity.ts";
import { saveProgress } from "../../src/catalog/run-progress.ts";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import type { Inventory } from "../../src/policy/types.ts";
import { SNAPSHOT, VERIFY_FIGURES } from "../unit/compliance/recorded-history.ts";
import type { History } from "../unit/compliance/recorded-history.ts";

/** Four sources as one meets them: one as it should be, one with a gap and a failed drill, one exposed for too long, and one that nobody has looked at yet. */
type Backup = SourceInfo["backups"][number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DAYS = 8;
/** A name that somebody chose to be nasty with: it must be text wherever it is shown. */
export const HOSTILE = '<img src=x onerror="document.title=1">';

export function fillSources(history: History, _inventory: Inventory, now: Date): void {
  fillGood(history, "orders", now);
  fillGapped(history, now);
  fillExposed(history, now);
  for (let day = 10; day >= 0; day--) recordCapacity(history.catalog, "onsite", { at: ago(now, day * DAY_MS), usedBytes: 5e11 - day * 3e9, freeBytes: 6e10 + day * 3e9 });
  const since = ago(now, HOUR_MS);
  const gap = { source: "billing", repository: "onsite", title: "a gap in the WAL of billing", whatToDo: "'holdfast info billing' shows which times cannot be brought back" };
  history.entry("alert.raised", since, { alert: "20261127T1-1", key: "wal_gap", kind: "wal_gap", severity: "P1", detail: HOSTILE, since, ...gap });
  const near = { source: "sessions", title: "sessions has used up 80 % of its RPO", whatToDo: "is the stream running?" };
  history.entry("alert.raised", since, { alert: "20261127T1-2", key: "rpo_near", kind: "rpo_near", severity: "P3", since, ...near });
  history.entry("alert.acknowledged", ago(now, 60_000), { alert: "20261127T1-2", by: "dba", reason: null });
}

function fillGood(history: History, source: string, now: Date): void {
  const backups = chainOf(now, 600_000_000, ["onsite", "cloud"]);
  for (const backup of backups) record(history, source, backup);
  for (let day = DAYS; day >= 1; day -= 2) drill(history, source, ago(now, day * DAY_MS - HOUR_MS), {});
  history.observed({ source, repository: "onsite", from: ago(now, DAY_MS), to: soon(now), everySeconds: 30, seconds: wave });
  history.observed({
    source,
    repository: "cloud",
    from: ago(now, DAY_MS),
    to: soon(now),
    everySeconds: 30,
    seconds: (at) => (at.getTime() % (6 * HOUR_MS) < HOUR_MS ? null : 12 + wave(at)),
  });
  history.seen(now.toISOString(), { ...SNAPSHOT, name: source, backups, windows: windowsOf(now, [[8 * DAY_MS, 0]], ["onsite", "cloud"]) });
}

function fillGapped(history: History, now: Date): void {
  const source = "billing";
  const backups = chainOf(now, 2_400_000_000, ["onsite"]);
  for (const backup of backups) record(history, source, backup);
  drill(history, source, ago(now, 5 * DAY_MS), {});
  drill(history, source, ago(now, 30 * 60_000), {
    verdict: "fail",
    fault: "backup",
    achievedLsn: "0/4F00000",
    checks: [
      { name: "reached the target", required: true, outcome: "fail", detail: `reached 0/4F00000, promised 0/5000148; the newest row is ${HOSTILE}`, fault: "backup" },
      { name: "orders count", required: true, outcome: "pass", detail: "found 120034", fault: "backup" },
    ],
  });
  history.ran({ source, operation: "backup", type: "incremental", at: ago(now, HOUR_MS), outcome: "failed", reason: `HF-STORAGE: ${HOSTILE}` });
  history.passedOver({ source, operation: "backup", type: "differential", slot: ago(now, 9 * HOUR_MS), until: ago(now, 3 * HOUR_MS), slots: 2 });
  history.observed({ source, repository: "onsite", from: ago(now, DAY_MS), to: soon(now), everySeconds: 60, seconds: (at) => 3 * wave(at) });
  history.observed({ source, repository: "cloud", from: ago(now, DAY_MS), to: soon(now), everySeconds: 60, seconds: () => 4 });
  history.seen(now.toISOString(), {
    ...SNAPSHOT,
    name: source,
    backups,
    windows: windowsOf(
      now,
      [
        [8 * DAY_MS, 5 * DAY_MS],
        [4.6 * DAY_MS, 0],
      ],
      ["onsite"],
    ),
    gaps: [{ repository: "onsite", timeline: 1, startLsn: "0/42000000", endLsn: "0/44000000", firstSegment: "000000010000000000000042", lastSegment: "000000010000000000000043" }],
  });
}

function fillExposed(history: History, now: Date): void {
  const source = "sessions";
  const backups = chainOf(now, 90_000_000, ["onsite"]);
  for (const backup of backups) record(history, source, backup);
  for (const repository of ["onsite", "cloud"])
    history.observed({
      source,
      repository,
      from: ago(now, 20 * HOUR_MS),
      to: soon(now),
      everySeconds: 60,
      seconds: (at) => Math.max(5, (at.getTime() - now.getTime()) / 1000 + 1300),
    });
  history.seen(now.toISOString(), { ...SNAPSHOT, name: source, backups, windows: windowsOf(now, [[3 * DAY_MS, 20 * 60_000]], ["onsite"]) });
  const verifying = history.began({ source, operation: "verify", at: ago(now, 40_000) });
  saveProgress(history.catalog, verifying, { at: ago(now, 1000), phase: `verify ${backups.at(-1)?.id}`, doneBytes: 31_457_280, totalBytes: null });
  const backup = history.began({ source: "orders", operation: "backup", type: "incremental", at: ago(now, 95_000) });
  saveProgress(history.catalog, backup, { at: ago(now, 500), phase: "copy", doneBytes: 412_000_000, totalBytes: null });
}

function chainOf(now: Date, sourceBytes: number, repositories: readonly string[]): Backup[] {
  const template = SNAPSHOT.backups[0];
  if (template === undefined) throw new Error("the snapshot has a backup");
  const copies = repositories.map((repository) => ({ repository, state: "complete" as const, verifiedTier: null, verifiedAt: null, error: null }));
  const made: Backup[] = [];
  for (let day = DAYS; day >= 0; day--) {
    const full = day % 7 === 0;
    const startedAt = ago(now, day * DAY_MS + 2 * HOUR_MS);
    const make = (type: Backup["type"], at: string, parentId: string | null, share: number): void => {
      const finishedAt = new Date(Date.parse(at) + 240_000 * share + 20_000).toISOString();
      const id = `${at.replaceAll(/[-:]|\.\d+/g, "")}-${type === "full" ? "full" : type === "differential" ? "diff" : "incr"}`;
      const size = { sourceBytes: sourceBytes + (DAYS - day) * 9_000_000, readBytes: sourceBytes * share, storedBytes: Math.round(sourceBytes * share * 0.31) };
      made.push({
        ...template,
        ...size,
        id,
        type,
        parentId,
        startedAt: at,
        finishedAt,
        durationSeconds: 240 * share + 20,
        copies,
        expiresAt: new Date(Date.parse(at) + 30 * DAY_MS).toISOString(),
      });
    };
    const parent = made.findLast(({ type }) => type !== "differential")?.id ?? null;
    make(full ? "full" : "incremental", startedAt, full ? null : parent, full ? 1 : 0.08);
    const base = made.findLast(({ type }) => type === "full")?.id ?? null;
    if (day < 4 && day > 0) make("differential", ago(now, day * DAY_MS - 8 * HOUR_MS), base, 0.12);
  }
  return made;
}

function record(history: History, source: string, backup: Backup): void {
  history.ran({ source, operation: "backup", type: backup.type, at: backup.startedAt, slot: backup.startedAt, seconds: backup.durationSeconds, figures: { ...backup } });
  const verified = backup.copies.map(({ repository }) => ({ repository, source, backup: backup.id, tier: "pages", ok: true }));
  history.ran({ source, operation: "verify", at: backup.finishedAt, seconds: 40, figures: VERIFY_FIGURES, verified });
}

function drill(history: History, source: string, at: string, figures: Readonly<Record<string, unknown>>): void {
  const phases = [
    { name: "plan", seconds: 1.2 },
    { name: "restore", seconds: 130.4 },
    { name: "start", seconds: 2.1 },
    { name: "recover", seconds: 41.7 },
    { name: "check", seconds: 19.9 },
    { name: "clean up", seconds: 3.3 },
  ];
  history.drilled(at, { rtoActualSeconds: 195.3, phases, ...figures }, { source, slot: at });
}

function windowsOf(now: Date, stretches: readonly (readonly [number, number])[], repositories: readonly string[]): SourceInfo["windows"] {
  return repositories.flatMap((repository) =>
    stretches.map(([from, to]) => ({ repository, timeline: 1, from: ago(now, from), to: ago(now, to + 1500), startLsn: "0/4000028", endLsn: "0/5000148" })),
  );
}

function wave(at: Date): number {
  const minutes = at.getTime() / 60_000;
  return 2 + Math.sin(minutes / 40) + (minutes % 187 < 6 ? 55 : 0) + (minutes % 13) / 6;
}

function ago(now: Date, ms: number): string {
  return new Date(now.getTime() - ms).toISOString();
}

function soon(now: Date): string {
  return new Date(now.getTime() + 1000).toISOString();
}
