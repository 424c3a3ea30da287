import type { DrillCheckResult, DrillFault } from "../../domain/drill-verdict.ts";
import { codeOf, DamageError, HoldfastError } from "../../errors.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";

/** Missing binaries, no room, no permission: the machine's fault, and no proof of anything. */
const OF_THE_MACHINE: readonly string[] = ["HF-BINARIES", "HF-SPACE", "HF-STORAGE", "HF-CONFIG", "HF-KEY", "HF-TARGET-NOT-EMPTY"];
/** What a server that could not go on for want of something says in its log. */
const WANT = /No space left on device|Disk quota exceeded|could not (?:map|create|resize) (?:anonymous )?shared memory|out of memory|Cannot allocate memory|Too many open files/i;

/** Whose fault it is that a drill did not get as far as its checks. */
export function faultOf(error: unknown): DrillFault {
  if (error instanceof DamageError) return "backup";
  if (!(error instanceof HoldfastError)) return "environment";
  if (error.code === "HF-TIMEOUT") return "timeout";
  if (OF_THE_MACHINE.includes(error.code)) return "environment";
  const { log } = error.facts;
  return error.code === "HF-START" && typeof log === "string" && WANT.test(log) ? "environment" : "backup";
}

const STATEMENT_TIMEOUT = "57014";

/** The same of an error that a check met in the restored server: it may have run out of something, or been stopped; what else it says of a structure is said of what was restored. */
export function faultOfQuery(error: unknown): DrillFault {
  const state = sqlStateOf(error);
  if (state === STATEMENT_TIMEOUT) return "timeout";
  return /^(?:53|57|08)/.test(state) ? "environment" : "backup";
}

/** A check of the policy that the data does not meet, or cannot answer, found what the source had. But not if the server says that it cannot read what is there (XX: damage; 58: files). */
export function faultOfUserQuery(error: unknown): DrillFault {
  const fault = faultOfQuery(error);
  return fault === "backup" && !/^(?:XX|58)/.test(sqlStateOf(error)) ? "source" : fault;
}

function sqlStateOf(error: unknown): string {
  const state = error instanceof HoldfastError ? error.facts["sqlState"] : codeOf(error);
  return typeof state === "string" ? state : "";
}

/**
 * What is wrong inside of what was restored was wrong in the source, where the backup can have made no mistake: pages that were corrupt when they were read, or every block of it read by
 * this very backup. Of one that took blocks over from its ancestors it cannot be told, and the backup is held to be at fault.
 */
export function blameForStructures(checks: readonly DrillCheckResult[], manifest: ClusterManifest): DrillCheckResult[] {
  if (manifest.corruptPages === 0 && !(manifest.type === "full" && manifest.changeSource === "everything")) return [...checks];
  return checks.map((check) => (check.outcome === "fail" && check.fault === "backup" ? { ...check, fault: "source" } : check));
}

/** A backup with corrupt pages restores to a cluster with corrupt pages, whether or not a check comes across them. */
export function checkSourcePages({ corruptPages, id }: ClusterManifest): DrillCheckResult {
  const ok = corruptPages === 0;
  const detail = ok ? "none was corrupt when the backup was made" : `${corruptPages} pages were corrupt in the source when ${id} was made`;
  return { name: "pages of the source", required: true, outcome: ok ? "pass" : "fail", detail, fault: "source" };
}
