import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { messageOf } from "../../errors.ts";
import { runProgram } from "../../postgres/process.ts";
import { faultOf, faultOfUserQuery } from "./drill-faults.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";

/**
 * Checks a policy asks for in a restored cluster: SQL with an expectation, or a program that gets the address and says yes with exit code 0. That the cluster is the one that was backed up, and sound, is
 * for other checks: what one of these does not like is how the source was. They are right before the backup is blamed.
 */
export type UserCheck =
  | {
      readonly kind: "sql";
      readonly name: string;
      readonly sql: string;
      readonly database: string;
      readonly expect: { readonly min: number | null; readonly max: number | null; readonly equals: string | null };
      readonly timeoutSeconds: number;
      readonly required: boolean;
    }
  | { readonly kind: "command"; readonly name: string; readonly command: readonly string[]; readonly timeoutSeconds: number; readonly required: boolean };

export async function runUserChecks(checks: readonly UserCheck[], cluster: Pick<ScratchCluster, "url" | "connect">, signal: AbortSignal): Promise<DrillCheckResult[]> {
  const results: DrillCheckResult[] = [];
  for (const check of checks) {
    signal.throwIfAborted();
    try {
      results.push(check.kind === "sql" ? await runSql(check, cluster) : await runCommandCheck(check, { HOLDFAST_DRILL_URL: cluster.url("postgres") }, signal));
    } catch (error) {
      results.push({
        name: check.name,
        required: check.required,
        outcome: "fail",
        detail: messageOf(error),
        fault: check.kind === "sql" ? faultOfUserQuery(error) : faultOf(error),
      });
    }
  }
  return results;
}

async function runSql(check: Extract<UserCheck, { kind: "sql" }>, cluster: Pick<ScratchCluster, "connect">): Promise<DrillCheckResult> {
  await using connection = await cluster.connect(check.database);
  await connection.client.query("select set_config('statement_timeout', $1, false)", [`${check.timeoutSeconds}s`]);
  const { rows } = await connection.client.query<unknown[]>({ text: check.sql, rowMode: "array" });
  const found = asText(rows[0]?.[0]);
  const wrong = whyUnexpected(found, check.expect);
  return { name: check.name, required: check.required, outcome: wrong === null ? "pass" : "fail", detail: wrong ?? `found ${found ?? "nothing"}`, fault: "source" };
}

function asText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function whyUnexpected(found: string | null, { min, max, equals }: Extract<UserCheck, { kind: "sql" }>["expect"]): string | null {
  if (found === null) return "the query gave nothing";
  if (equals !== null && found !== equals) return `found ${found}, expected ${equals}`;
  if (min !== null && !(Number(found) >= min)) return `found ${found}, expected at least ${min}`;
  if (max !== null && !(Number(found) <= max)) return `found ${found}, expected at most ${max}`;
  return null;
}

/**
 * Where what was restored is stands in its environment: the address of the scratch cluster in HOLDFAST_DRILL_URL, the folder of a tree in HOLDFAST_DRILL_FOLDER. It gets nothing else of
 * ours: secrets are in there.
 */
export async function runCommandCheck(check: Extract<UserCheck, { kind: "command" }>, where: Readonly<Record<string, string>>, signal: AbortSignal): Promise<DrillCheckResult> {
  const [program = "", ...args] = check.command;
  const result = await runProgram(program, args, {
    timeoutMs: check.timeoutSeconds * 1000,
    env: { ...where, PATH: "/usr/local/bin:/usr/bin:/bin" },
    cleanEnv: true,
    signal,
  });
  if (result.timedOut) return { name: check.name, required: check.required, outcome: "fail", detail: `took longer than ${check.timeoutSeconds} s`, fault: "timeout" };
  const ok = result.exitCode === 0;
  return {
    name: check.name,
    required: check.required,
    outcome: ok ? "pass" : "fail",
    detail: ok ? "exit code 0" : `exit code ${result.exitCode}: ${result.stderr.slice(-200)}`,
    fault: "source",
  };
}
