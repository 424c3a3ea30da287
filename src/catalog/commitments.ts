import type { Schedule } from "../domain/schedule.ts";
import type { Catalog } from "./catalog.ts";
import { textOf } from "./catalog.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** What was promised to be due, projected from evidence: `schedule.committed`. */
export interface CommitmentRecord {
  /** Slots in (from, until] are promised. */
  readonly from: string;
  readonly until: string;
  /** Of everything that is promised: whether a change of policy asks for another. */
  readonly sha256: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export function applyCommitment(catalog: Catalog, { writer, sequence, facts }: HistoryEntry): void {
  const { from, until, sha256 } = facts;
  if (typeof from !== "string" || typeof until !== "string" || typeof sha256 !== "string") return;
  catalog.run(
    `insert into commitments (writer, sequence, from_at, until_at, sha256, facts) values (:writer, :sequence, :from, :until, :sha256, :facts) on conflict (writer, sequence) do nothing`,
    { writer, sequence, from, until, sha256, facts: JSON.stringify(facts) },
  );
}

/** The last word of one host about what will be due; null: it has promised nothing yet. */
export function newestCommitment(catalog: Catalog, writer: string): CommitmentRecord | null {
  const [row] = catalog.all("select * from commitments where writer = :writer order by sequence desc limit 1", { writer });
  if (row === undefined) return null;
  return { from: textOf(row, "from_at"), until: textOf(row, "until_at"), sha256: textOf(row, "sha256"), facts: JSON.parse(textOf(row, "facts")) as Record<string, unknown> };
}

/** Work that one host promised would be due in (from, until], by schedule, for each of the sources. */
export interface PromisedWork {
  readonly from: string;
  readonly until: string;
  readonly operation: string;
  readonly type: string | null;
  readonly schedule: Schedule;
  readonly sources: readonly string[];
}

interface CommittedFacts {
  readonly policies: readonly { readonly work: readonly Pick<PromisedWork, "operation" | "type" | "schedule">[]; readonly sources: readonly string[] }[];
}

/** What was promised for [from, to), oldest first. A later word of the same host takes the place of an earlier one from its beginning on: a policy was changed. */
export function promisesIn(catalog: Catalog, from: string, to: string): PromisedWork[] {
  const rows = catalog.all(
    `select facts, from_at, min(until_at, coalesce(lead(from_at) over (partition by writer order by sequence), until_at)) as holds_until from commitments
     where until_at >= :from and from_at < :to order by writer, sequence`,
    { from, to },
  );
  return rows.flatMap((row) => {
    const period = { from: textOf(row, "from_at"), until: textOf(row, "holds_until") };
    const { policies } = JSON.parse(textOf(row, "facts")) as CommittedFacts;
    return policies.flatMap(({ work, sources }) => work.map(({ operation, type, schedule }) => ({ ...period, operation, type, schedule, sources })));
  });
}
