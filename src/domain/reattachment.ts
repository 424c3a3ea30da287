import { formatLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { TimelineHistory } from "./timeline.ts";

/** The branch of a cluster's history that a source is on since it was reattached: a server that is not on it is one that was left. */
export interface Branch {
  readonly timeline: number;
  readonly parentTimeline: number;
  readonly forkLsn: Lsn;
}

export interface ServerState {
  readonly systemIdentifier: string;
  readonly history: TimelineHistory;
  readonly position: Lsn;
}

/** What a copy holds of the cluster. */
export interface HeldHistory {
  readonly systemIdentifier: string | null;
  readonly histories: ReadonlyMap<number, TimelineHistory>;
  /** Where WAL ends by timeline: what is held, or was ever reported durable. */
  readonly ends: ReadonlyMap<number, Lsn>;
  readonly branch: Branch | null;
}

export type Reattachment =
  | { readonly kind: "refused"; readonly code: "HF-OTHER-CLUSTER" | "HF-DIVERGED"; readonly reason: string; readonly hint: string }
  /** The server goes on where the copy is: there is no fork to follow. */
  | { readonly kind: "attached" }
  | {
      readonly kind: "forked";
      readonly branch: Branch;
      /** What the old timeline had beyond the fork, and is left. */ readonly abandoned: { readonly from: Lsn; readonly to: Lsn } | null;
    };

const OTHER_NAME = "give this server a name of its own in the inventory; what is stored under this one stays, and can be restored";

/** Whether a server goes on from what a copy holds, and where it forked. */
export function judgeReattachment(server: ServerState, held: HeldHistory): Reattachment {
  const { history, position } = server;
  const { timeline } = history;
  if (held.systemIdentifier !== null && held.systemIdentifier !== server.systemIdentifier)
    return {
      kind: "refused",
      code: "HF-OTHER-CLUSTER",
      reason: `the server is cluster ${server.systemIdentifier}, and what is stored is of ${held.systemIdentifier}`,
      hint: `check the address; if the cluster was upgraded, or made anew: --cluster ${server.systemIdentifier} binds the source to it, and what is stored stays`,
    };
  const left = leftBy(server, held);
  if (left !== null) return left;
  const stored = held.histories.get(timeline);
  if (stored !== undefined && !sameForks(stored, history)) return refusal("HF-DIVERGED", `another server made timeline ${timeline}, which is stored with another history`);
  const end = held.ends.get(timeline);
  if (end !== undefined && end > position)
    return refusal(
      "HF-DIVERGED",
      `the server is at ${formatLsn(position)} of timeline ${timeline}, of which WAL up to ${formatLsn(end)} is stored: it went back without a new timeline`,
    );
  const fork = history.forks.at(-1);
  if (fork === undefined || held.branch?.timeline === timeline) return { kind: "attached" };
  const before = held.ends.get(fork.timeline) ?? null;
  const branch = { timeline, parentTimeline: fork.timeline, forkLsn: fork.switchpoint };
  return { kind: "forked", branch, abandoned: before !== null && before > fork.switchpoint ? { from: fork.switchpoint, to: before } : null };
}

/** A server on a branch that was left: an old primary that came back. */
function leftBy({ history, position }: ServerState, { histories, branch }: HeldHistory): Reattachment | null {
  const { timeline } = history;
  if (branch !== null && !isOnBranch(history, branch))
    return refusal("HF-DIVERGED", `the server is on timeline ${timeline}, which was left at ${formatLsn(branch.forkLsn)} for timeline ${branch.timeline}`);
  for (const newer of histories.values()) {
    const fork = newer.forks.find((each) => each.timeline === timeline);
    if (fork !== undefined && position > fork.switchpoint)
      return refusal("HF-DIVERGED", `the server is on timeline ${timeline}, which was left at ${formatLsn(fork.switchpoint)} for timeline ${newer.timeline}`);
  }
  return null;
}

function refusal(code: "HF-DIVERGED", reason: string): Reattachment {
  return { kind: "refused", code, reason, hint: OTHER_NAME };
}

export function isOnBranch({ timeline, forks }: TimelineHistory, branch: Branch): boolean {
  return timeline === branch.timeline || forks.some((fork) => fork.timeline === branch.timeline);
}

function sameForks(a: TimelineHistory, b: TimelineHistory): boolean {
  return a.forks.length === b.forks.length && a.forks.every(({ timeline, switchpoint }, i) => b.forks[i]?.timeline === timeline && b.forks[i].switchpoint === switchpoint);
}
