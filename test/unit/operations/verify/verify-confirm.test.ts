import { expect, test } from "vitest";
import { DamageError } from "../../../../src/errors.ts";
import { confirmDamage } from "../../../../src/operations/verify/verify-confirm.ts";
import type { SecondLook } from "../../../../src/operations/verify/verify-confirm.ts";
import { DamageReport } from "../../../../src/operations/verify/verify-report.ts";

const WAL = "sources/db/wal/7000000000000000001/00000001";
const SEGMENT = "000000010000000000000012";
const PART = `${WAL}/parts/${SEGMENT}/00000000-000000d8-d9072516`;
const WHOLE = `${WAL}/0000000100000000/${SEGMENT}-0123456789abcdef0123456789abcdef`;
const SUMMARY = `${WAL}/summaries/${SEGMENT}.0123456789abcdef0123456789abcdef`;
const PACK = "sources/db/backups/20261121T000000Z-full/data/00000000";

interface Now {
  readonly segments?: readonly string[];
  readonly parts?: Readonly<Record<string, readonly string[]>>;
  readonly expired?: readonly string[];
  readonly backups?: readonly string[];
}

function viewOf({ segments = [], parts = {}, expired = [], backups = [] }: Now): NonNullable<SecondLook["view"]> {
  return {
    inventory: {
      segmentBytes: 1 << 24,
      segments: new Map(segments.map((name) => [name, { objects: [`${WAL}/${name}`] }])),
      parts: new Map(Object.entries(parts).map(([name, objects]) => [name, { objects: [...objects], contiguousBytes: 1, furthestBytes: 1 }])),
    },
    wasExpired: (name) => expired.includes(name),
    listing: { backups: backups.map((id) => ({ manifest: { id } })), damaged: [], dying: [], ids: backups } as never,
  };
}

/** Objects that are still reported after the second look. */
function confirmed(first: readonly DamageError[], now: Now | null, second: readonly DamageError[] = []): string[] {
  const reportOf = (errors: readonly DamageError[]): DamageReport => {
    const report = new DamageReport("onsite");
    for (const error of errors) report.add(error);
    return report;
  };
  return confirmDamage(reportOf(first), { view: now === null ? null : viewOf(now), report: reportOf(second) }).map(({ object }) => object);
}

const missing = (object: string): DamageError => new DamageError(object, "the object is not there", "missing");
const damaged = (object: string): DamageError => new DamageError(object, "the checksum does not fit");

test.each<[string, string, Now]>([
  ["a part whose segment is complete now", PART, { segments: [SEGMENT] }],
  ["a part that was joined with others", PART, { parts: { [SEGMENT]: [`${WAL}/parts/${SEGMENT}/00000000-00000200-00000000`] } }],
  ["a segment that expired", WHOLE, { expired: [SEGMENT] }],
  ["a segment that an index named and that is there now", `${WAL}/0000000100000000/${SEGMENT}`, { segments: [SEGMENT] }],
  ["the summary of a segment that expired and is not gone yet", SUMMARY, { segments: [SEGMENT], expired: [SEGMENT] }],
  ["the summary of a segment that is gone", SUMMARY, {}],
  ["an object of a backup that was deleted", PACK, { backups: ["20261121T060000Z-incr"] }],
  ["a manifest that no second look misses", "sources/db/manifests/20261121T000000Z-full.json", {}],
])("not missed: %s", (_, object, now) => {
  expect(confirmed([missing(object)], now)).toEqual([]);
});

test.each<[string, string, Now]>([
  ["a part that is listed and cannot be opened", PART, { parts: { [SEGMENT]: [PART] } }],
  ["a segment that nobody removed", WHOLE, {}],
  ["one of two objects of a segment", WHOLE, { segments: [SEGMENT] }],
  ["the summary of a segment that is there", SUMMARY, { segments: [SEGMENT] }],
  ["an object of a backup that is still listed", PACK, { backups: ["20261121T000000Z-full"] }],
  ["a history file", `${WAL.slice(0, -9)}/history/00000002-0123456789abcdef0123456789abcdef`, {}],
])("missed: %s", (_, object, now) => {
  expect(confirmed([missing(object)], now)).toEqual([object]);
});

test("what is missed again counts, whatever it is", () => {
  const manifest = "sources/db/manifests/20261121T000000Z-full.json";
  expect(confirmed([missing(manifest), missing(PART)], {}, [missing(manifest), missing(PART)])).toEqual([manifest, PART]);
});

test("damage counts, also of what is gone now, and what the second look finds damaged is added", () => {
  expect(confirmed([damaged(PACK)], {}, [damaged(WHOLE)])).toEqual([PACK, WHOLE]);
});

test("where nothing can be said of the source any more, everything counts", () => {
  expect(confirmed([missing(PART)], null)).toEqual([PART]);
});
