import { findInfeasible } from "../domain/feasibility.ts";
import type { Finding } from "../domain/feasibility.ts";
import type { SourceKind } from "../domain/source-kind.ts";
import { hasLog } from "./source-kinds.ts";
import type { LoadedInventory } from "./load.ts";
import { byPlace } from "./problem.ts";
import type { Place } from "./problem.ts";
import type { Policy } from "./types.ts";
import type { YamlFile } from "./yaml-file.ts";

/** What a policy cannot hold, with the line that causes it. */
export interface PolicyFinding extends Place, Pick<Finding, "severity" | "message" | "hint"> {
  /** Source names, in the order of the inventory: the objectives come from them, so findings differ. */
  readonly sources: readonly string[];
}

export interface Objectives {
  readonly rtoSeconds: number;
  readonly rpoSeconds: number;
}

/** The findings about one policy under given objectives, in the order of its file. */
export function policyFindings(policy: Policy, objectives: Objectives, yaml: YamlFile, kind: SourceKind = "postgres"): Omit<PolicyFinding, "sources">[] {
  const findings = findInfeasible({ objectives, backups: [...policy.backups.values()], log: policy.log, canLog: hasLog(kind), jitterSeconds: policy.jitterSeconds });
  const placed = findings.map(({ path, severity, message, hint }) => {
    const { file, line, column } = yaml.find(path);
    return { file, line, column, severity, message, hint };
  });
  return placed.toSorted(byPlace);
}

/** The findings about every source; what is found for several sources is said once, with their names. */
export function inventoryFindings({ inventory, policyFiles }: LoadedInventory): PolicyFinding[] {
  const found = new Map<string, PolicyFinding & { sources: string[] }>();
  // A thousand sources of one policy and the same objectives are looked at once.
  const known = new Map<string, ReturnType<typeof policyFindings>>();
  for (const source of inventory.sources.values()) {
    const yaml = policyFiles.get(source.policy.name);
    if (yaml === undefined) continue;
    const { rtoSeconds, rpoSeconds } = source.objectives;
    const asked = `${source.policy.name} ${source.kind} ${rtoSeconds} ${rpoSeconds}`;
    const findings = known.get(asked) ?? policyFindings(source.policy, source.objectives, yaml, source.kind);
    known.set(asked, findings);
    for (const finding of findings) {
      const key = `${finding.file}:${finding.line}:${finding.column}:${finding.message}`;
      const before = found.get(key);
      if (before === undefined) found.set(key, { ...finding, sources: [source.name] });
      else before.sources.push(source.name);
    }
  }
  return [...found.values()];
}

/** `file:line:column: severity: message (sources)`, with the hint on a line of its own. */
export function formatFindings(findings: readonly PolicyFinding[]): string {
  return findings
    .map(
      ({ file, line, column, severity, message, hint, sources }) =>
        `${file}:${line}:${column}: ${severity}: ${message} (${sources.length === 1 ? "source" : "sources"} ${sources.join(", ")})\n  hint: ${hint}`,
    )
    .join("\n");
}
