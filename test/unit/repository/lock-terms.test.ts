import { expect, test } from "vitest";
import { keys } from "../../../src/repository/layout.ts";
import { lockUntil } from "../../../src/repository/lock-terms.ts";
import type { LockTerms } from "../../../src/repository/lock-terms.ts";

const DAY = 86_400;
const NOW = new Date("2026-11-22T12:00:00Z");
const TERMS: LockTerms = {
  marginSeconds: 2 * DAY,
  evidenceSeconds: 365 * DAY,
  sources: new Map([
    ["db", { backups: new Map([["full", 84 * DAY] as const, ["incremental", 30 * DAY] as const, ["differential", null] as const]), logSeconds: DAY }],
    ["other", { backups: new Map([["full", 100 * DAY] as const]), logSeconds: null }],
  ]),
};
const SEGMENT = "00000001000000A000000033";
const days = (key: string, now = NOW): number | null => {
  const until = lockUntil(key, TERMS, now);
  return until === null ? null : (until.getTime() - now.getTime()) / 1000 / DAY;
};

const FULL = "20261122T120000Z-full";
const DIGEST = "0".repeat(64);

test.each([
  ["the pack of a full", keys.pack("db", FULL, "data", 0), 86],
  ["its map", keys.pack("db", FULL, "map", 0), 86],
  ["its contents", keys.contents("db", FULL), 86],
  ["its manifest", keys.manifest("db", FULL), 86],
  ["an incremental", keys.manifest("db", "20261122T120000Z-incr"), 32],
  ["one that only counts keep", keys.manifest("db", "20261122T120000Z-diff"), 2],
  ["one of a type or source that no policy speaks of", keys.manifest("unknown", FULL), 102],
  ["a copy of an old one", keys.manifest("db", "20260101T120000Z-full"), 2],
  ["one whose id is ahead of the clock", keys.manifest("db", "20991122T120000Z-full"), 86],
  ["a WAL segment", `${keys.walSegment("db", "7", SEGMENT)}-${"a".repeat(32)}`, 3],
  ["a WAL segment that never expires for its age", `${keys.walSegment("other", "7", SEGMENT)}-${"a".repeat(32)}`, 102],
  ["a timeline history", `${keys.history("db", "7", "00000002")}-${"a".repeat(32)}`, 102],
  ["what says that it is here", keys.walHistoryMark("db", "7", "00000002"), 102],
  ["the descriptor", "holdfast.json", 102],
  ["a key document", keys.keyDocument("k"), 102],
  ["a host", keys.host("k", DIGEST), 102],
  ["a host that was expelled", keys.expelledHost("k", DIGEST), 102],
  ["a rotation", keys.rotation("k"), 102],
  ["a binding", keys.binding("db", 1), 102],
  ["an envelope", keys.keyEnvelope("k", "passphrase-1", 1), 7],
  ["the statement of an envelope", keys.envelopeStatement(keys.keyEnvelope("k", "passphrase-1", 1)), 7],
  ["evidence", keys.evidenceEntry(DIGEST, 1), 367],
  ["a checkpoint", keys.checkpoint(DIGEST, 1), 367],
  ["a lease", keys.lease("db.backup", 1), null],
  ["an intent", keys.intent("db", FULL), null],
  ["a tombstone", keys.tombstone("db", FULL), null],
  ["a part of WAL", `${keys.walPart("db", "7", SEGMENT, 0, 100)}-00000000`, null],
  ["a summary of WAL", keys.walSummary("db", "7", SEGMENT, "a".repeat(32)), null],
  ["an index of WAL", keys.walIndex("db", "7", SEGMENT, SEGMENT), null],
  ["the list of expired WAL", keys.walExpiry("db", "7", "00000001", 1), null],
  ["a request of a host", keys.request(DIGEST), null],
  ["a probe", "probe/x/locked", null],
])("%s is locked for its time", (_, key, expected) => {
  expect(days(key)).toBe(expected);
});
