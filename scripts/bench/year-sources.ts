import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { listSlots } from "../../src/catalog/slot-population.ts";
import { nextSlot } from "../../src/domain/schedule.ts";
import type { Schedule } from "../../src/domain/schedule.ts";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import { loadInventory } from "../../src/policy/load.ts";
import type { SourceConfig } from "../../src/policy/types.ts";

/** So many sources of policies/guide.yaml, from an inventory that is written and loaded as any other. */
export async function guideSources(count: number): Promise<SourceConfig[]> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-year-"));
  try {
    const loaded = await loadInventory(await writeGuideInventory(folder, count));
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    return [...loaded.inventory.sources.values()];
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The inventory of them in a folder. Returns its file. */
export async function writeGuideInventory(folder: string, count: number): Promise<string> {
  await mkdir(join(folder, "policies"), { recursive: true });
  await writeFile(join(folder, "policies/guide.yaml"), await readFile(join(import.meta.dirname, "../../policies/guide.yaml")));
  const names = Array.from(
    { length: count },
    (_, index) => `  db${String(index).padStart(4, "0")}: { connection: env:URL, policy: guide, tier: standard, dataClass: application }`,
  );
  const repositories = ["onsite", "cloud"].map((name) => `  ${name}: { url: "file://${join(folder, name)}", class: fast, encryption: { passphrase: env:KEY } }`);
  const file = join(folder, "holdfast.yaml");
  await writeFile(file, ["version: 1", "state: ./state", "repositories:", ...repositories, "sources:", ...names, ""].join("\n"));
  return file;
}

export interface YearAccount {
  readonly due: number;
  readonly dueLogs: number;
  readonly dueBackups: number;
  readonly outcomes: Readonly<Record<keyof typeof NO_SLOTS, number>>;
  readonly problems: readonly string[];
}

/**
 * Every slot by the schedules alone, beside every slot that is on record, one by one: for each source and kind the same, each once. The schedules are walked anew here, by nothing that the planner uses but
 * the next slot after another.
 */
export function accountFor(catalog: Catalog, sources: readonly SourceConfig[], from: Date, until: Date): YearAccount {
  const outcomes = { ...NO_SLOTS };
  const problems: string[] = [];
  const due = { all: 0, logs: 0, backups: 0 };
  const walked = new Map<string, readonly string[]>();
  for (const source of sources) {
    for (const { operation, type, schedule } of kindsOf(source)) {
      const first = firstDue(catalog, source.name, operation, from);
      const expected = walk(schedule, from, until, walked);
      let next = expected.findIndex((slot) => slot >= first);
      const count = next === -1 ? 0 : expected.length - next;
      for (const { slot, outcome } of listSlots(catalog, { source: source.name, operation, type }, new Date(first), until)) {
        if (slot !== expected[next++]) problems.push(`${source.name} ${operation} ${type}: ${slot} is on record, and due was ${expected[next - 1]}`);
        if (outcome === "running") problems.push(`${source.name} ${operation} ${type}: ${slot} has no end`);
        outcomes[outcome]++;
        if (problems.length > MOST_PROBLEMS) break;
      }
      if (count > 0 && next !== expected.length) problems.push(`${source.name} ${operation} ${type}: nothing is on record from ${expected[next]} on`);
      due.all += count;
      if (operation === "log") due.logs += count;
      if (operation === "backup") due.backups += count;
    }
  }
  return { due: due.all, dueLogs: due.logs, dueBackups: due.backups, outcomes, problems: problems.slice(0, MOST_PROBLEMS) };
}

const MOST_PROBLEMS = 100;

/** Of several parts of the sources, together. */
export function sumAccounts(accounts: readonly YearAccount[]): YearAccount {
  const outcomes = { ...NO_SLOTS };
  for (const account of accounts) for (const outcome of OUTCOMES) outcomes[outcome] += account.outcomes[outcome];
  const sum = (of: (account: YearAccount) => number): number => accounts.reduce((all, account) => all + of(account), 0);
  return {
    due: sum(({ due }) => due),
    dueLogs: sum(({ dueLogs }) => dueLogs),
    dueBackups: sum(({ dueBackups }) => dueBackups),
    outcomes,
    problems: accounts.flatMap(({ problems }) => problems),
  };
}

const NO_SLOTS = { done: 0, failed: 0, missed: 0, superseded: 0, skipped: 0, running: 0 };
const OUTCOMES = Object.keys(NO_SLOTS) as (keyof typeof NO_SLOTS)[];

/** All but backups begins after the first backup: it is due from the slot after it on. */
function firstDue(catalog: Catalog, source: string, operation: string, from: Date): string {
  if (operation === "backup") return from.toISOString();
  const [row] = catalog.all("select min(started_at) as at from runs where source = :source and operation = 'backup' and outcome = 'succeeded'", { source });
  return new Date(typeof row?.["at"] === "number" ? row["at"] + 1 : from.getTime()).toISOString();
}

/** All slots of a schedule, walked once: a thousand sources have the same. */
function walk(schedule: Schedule, from: Date, until: Date, walked: Map<string, readonly string[]>): readonly string[] {
  const key = JSON.stringify(schedule);
  const known = walked.get(key);
  if (known !== undefined) return known;
  const slots: string[] = [];
  for (let slot = nextSlot(schedule, new Date(from.getTime() - 1)); slot !== null && slot < until; slot = nextSlot(schedule, slot)) slots.push(slot.toISOString());
  walked.set(key, slots);
  return slots;
}

function kindsOf({ policy }: SourceConfig): { operation: string; type: string | null; schedule: Schedule }[] {
  const kinds: { operation: string; type: string | null; schedule: Schedule | null }[] = [
    ...[...policy.backups.values()].map(({ type, schedule }) => ({ operation: "backup", type, schedule })),
    { operation: "log", type: "log", schedule: policy.log === null || policy.log.schedule.kind === "stream" ? null : policy.log.schedule },
    { operation: "expire", type: null, schedule: policy.expire.schedule },
    { operation: "verify", type: null, schedule: policy.verify?.schedule ?? null },
    { operation: "drill", type: null, schedule: policy.drills?.schedule ?? null },
  ];
  return kinds.flatMap(({ schedule, ...kind }) => (schedule === null ? [] : [{ ...kind, schedule }]));
}

/** What is there of a source after a year: twelve weeks of fulls, thirty days of incrementals, seven of differentials. */
export function snapshotOf({ name }: SourceConfig, at: Date): SourceInfo {
  const copies = ["onsite", "cloud"].map((repository) => ({ repository, state: "complete" as const, verifiedTier: "decoded" as const, verifiedAt: at.toISOString(), error: null }));
  const backups = Array.from({ length: 12 + 30 + 28 }, (_, index) => ({ id: `20261101T0200${String(index).padStart(2, "0")}Z-full`, type: "full", state: "complete", copies }));
  const windows = copies.map(({ repository }) => ({ repository, timeline: 1, from: at.toISOString(), to: at.toISOString(), startLsn: "0/1", endLsn: "0/2" }));
  return { name, systemIdentifier: "7", timeline: 1, backups, windows, gaps: [], exposure: [], lastProof: null } as unknown as SourceInfo;
}
