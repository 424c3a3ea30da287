import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { countRows } from "../../postgres/dump.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";
import type { OperationContext } from "../context.ts";
import type { AboutDumps } from "../restore/load-dumps.ts";

/** Every table has the rows that it had in the snapshot that was dumped. */
export async function checkRows({ databases }: AboutDumps, cluster: Pick<ScratchCluster, "connect">, { clock, signal }: OperationContext): Promise<DrillCheckResult[]> {
  const checks: DrillCheckResult[] = [];
  for (const { name, tables } of databases) {
    signal.throwIfAborted();
    await using connection = await cluster.connect(name);
    await connection.client.query("begin isolation level repeatable read read only");
    const found = new Map((await countRows(connection.client, () => clock.monotonicMs())).map((table) => [`${table.schema}.${table.name}`, table.rows]));
    const known = tables.filter(({ rows }) => rows !== null);
    const wrong = known.flatMap(({ schema, name: table, rows }) => {
      const now = found.get(`${schema}.${table}`);
      // Not counted in time is not wrong.
      return now === rows || now === null ? [] : [`${schema}.${table} has ${now ?? "no such table"}, and had ${rows}`];
    });
    const counted = known.filter(({ schema, name: table }) => typeof found.get(`${schema}.${table}`) === "number").length;
    checks.push({
      name: `rows of ${name}`,
      required: true,
      outcome: wrong.length > 0 ? "fail" : "pass",
      detail: wrong.length > 0 ? wrong.slice(0, 3).join("; ") : `${counted} of ${tables.length} tables were counted, and have what they had`,
      fault: "backup",
    });
  }
  return checks;
}
