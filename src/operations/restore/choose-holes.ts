import { isContentOf, selectDatabases } from "../../domain/database-selection.ts";
import type { DatabaseSelection } from "../../domain/database-selection.ts";
import { HoldfastError } from "../../errors.ts";
import type { CapturedSettings } from "../../postgres/capture.ts";

interface Holes extends Pick<DatabaseSelection, "leftOut"> {
  readonly isHole: (entryPath: string) => boolean;
}

/**
 * Databases that are left out keep their files, as long as they were and full of zeros, which take no room: WAL is replayed into them, and each page that WAL speaks of comes back whole with its first
 * change. What WAL says of a page without bringing it (that it is all visible) finds a page of zeros: recovery has to let that be.
 */
export function chooseHoles({ databases }: CapturedSettings, wanted: readonly string[] | null): Holes {
  if (wanted === null) return { leftOut: [], isHole: () => false };
  const known = databases.map((row) => ({ oid: Number(row["oid"]), name: row["datname"] ?? "" }));
  const { leftOut, unknown } = selectDatabases(known, wanted);
  if (unknown.length > 0)
    throw new HoldfastError("HF-USAGE", `the backup has no database ${unknown.map((name) => JSON.stringify(name)).join(", ")}`, {
      hint: `it has ${known.map(({ name }) => name).join(", ")}; nothing was touched`,
    });
  const oids = new Set(leftOut.map(({ oid }) => oid));
  return { leftOut, isHole: (entryPath) => isContentOf(entryPath, oids) };
}
