import { DamageError } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import { countVersions } from "../../repository/matching-version.ts";
import type { Repository } from "../../repository/repository.ts";
import type { DamageReport } from "./verify-report.ts";

/**
 * Looks for the traces of somebody who has credentials to write, in a bucket that keeps versions: markers over objects, and versions beside the one that was written. Nothing of ours makes
 * either: no object is written twice, and a deletion removes all there is of a key. What lies below can still be read, and a restore takes the version that matches.
 */
export async function reportTampering(repository: Repository, source: string | null, report: DamageReport): Promise<void> {
  for await (const { key, written, markers } of countVersions(repository.store, source === null ? "" : keys.source(source))) {
    const left = written === 0 ? "nothing is left of it" : "it lies below the marker of that";
    if (markers > 0) tell(report, new DamageError(key, `tampering: somebody deleted it, and ${left}`, written === 0 ? "missing" : "damaged"));
    else if (written > 1) tell(report, new DamageError(key, `tampering: somebody wrote over it, and ${written} versions of it are there`));
  }
}

/** Whatever else is wrong with the object is a consequence. */
function tell(report: DamageReport, error: DamageError): void {
  const before = report.found.find(({ object }) => object === error.object);
  if (before === undefined) report.add(error);
  else report.take({ ...before, reason: `${error.reason}; ${before.reason}` });
}
