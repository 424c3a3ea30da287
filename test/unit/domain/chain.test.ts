import { describe, expect, test } from "vitest";
import { chooseParent } from "../../../src/domain/chain.ts";
import type { ClusterFacts, ParentCandidate } from "../../../src/domain/chain.ts";
import { parseLsn } from "../../../src/domain/lsn.ts";
import { emptyHistory } from "../../../src/domain/timeline.ts";
import type { TimelineHistory } from "../../../src/domain/timeline.ts";

const SERVER: ClusterFacts = {
  systemIdentifier: "7300000000000000001",
  major: 17,
  catalogVersion: 202_406_281,
  blockSize: 8192,
  segmentBlocks: 131_072,
  walSegmentBytes: 16 << 20,
  dataChecksums: true,
};

function candidate(id: string, more: Partial<ParentCandidate> = {}): ParentCandidate {
  const type = id.startsWith("full") ? "full" : id.startsWith("diff") ? "differential" : "incremental";
  return { ...SERVER, id, type, timeline: 1, stopLsn: parseLsn("0/3000000"), corrupt: false, ...more };
}

const parentOf = (type: "full" | "differential" | "incremental", candidates: readonly ParentCandidate[], history: TimelineHistory = emptyHistory(1)): string | null =>
  chooseParent(type, candidates, SERVER, history).parent;

describe("the parent of a backup", () => {
  test("is the last full for a differential; the last full or incremental for an incremental, never a differential", () => {
    const taken = ["full 1", "incr 1", "full 2", "incr 2", "diff 1"].map((id) => candidate(id));
    expect(parentOf("full", taken)).toBeNull();
    expect(parentOf("differential", taken)).toBe("full 2");
    expect(parentOf("incremental", taken)).toBe("incr 2");
    expect(parentOf("incremental", [candidate("full 1"), candidate("diff 1")])).toBe("full 1");
    expect(parentOf("incremental", [candidate("diff 1")])).toBeNull();
  });

  const unusable: Record<string, Partial<ParentCandidate>> = {
    "with corrupt pages": { corrupt: true },
    "of another cluster": { systemIdentifier: "7300000000000000002" },
    "of another major version": { major: 16 },
    "of another catalog": { catalogVersion: 1 },
    "with pages of another size": { blockSize: 16_384 },
    "with segments of another size": { segmentBlocks: 1000 },
    "with WAL segments of another size": { walSegmentBytes: 1 << 20 },
    "from before checksums were switched": { dataChecksums: false },
    "of a timeline that the server never was on": { timeline: 5 },
  };
  test.each(Object.keys(unusable))("is never one %s: the one before is taken, or none", (what) => {
    expect(parentOf("incremental", [candidate("full 1"), candidate("incr 1", unusable[what])])).toBe("full 1");
    expect(parentOf("incremental", [candidate("full 1", unusable[what])])).toBeNull();
  });

  test("ended at or before the fork, if it is of an earlier timeline: what came after never happened here", () => {
    const history: TimelineHistory = { timeline: 3, forks: [1, 2].map((timeline) => ({ timeline, switchpoint: parseLsn(`0/${timeline + 2}000000`) })) };
    const at = (timeline: number, stopLsn: string): string | null => parentOf("incremental", [candidate("full 1", { timeline, stopLsn: parseLsn(stopLsn) })], history);
    expect(at(1, "0/3000000")).toBe("full 1");
    expect(at(1, "0/3000008")).toBeNull();
    expect(at(2, "0/4000000")).toBe("full 1");
    expect(at(2, "0/4000008")).toBeNull();
    expect(at(3, "0/9000000")).toBe("full 1");
  });
});
