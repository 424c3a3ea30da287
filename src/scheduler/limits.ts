import type { Inventory } from "../policy/types.ts";
import type { Task } from "./tasks.ts";

/**
 * Why a task must wait for others, in words; null: it need not. Limits are about scheduled work and commands over all sources; what one source may do at once is not a limit but a rule:
 * one of backup, verify, drill and expire at a time.
 */
export function mustWaitFor(task: Task, running: Iterable<Task>, inventory: Pick<Inventory, "limits" | "sources">): string | null {
  const others = [...running];
  const { hostBackups, hostDrills, repositoryBackups } = inventory.limits;
  const count = (operation: Task["operation"]): number => others.filter((other) => other.operation === operation).length;
  if (task.operation === "drill" && hostDrills !== null && count("drill") >= hostDrills) return "as many drills ran on this host as may at once";
  if (task.operation !== "backup") return null;
  if (hostBackups !== null && count("backup") >= hostBackups) return "as many backups ran on this host as may at once";
  const full = repositoriesOf(task, inventory).find((name) => {
    const limit = repositoryBackups.get(name);
    return limit !== undefined && others.filter((other) => other.operation === "backup" && repositoriesOf(other, inventory).includes(name)).length >= limit;
  });
  return full === undefined ? null : `as many backups were written to ${full} as may at once`;
}

function repositoriesOf({ source, type }: Task, { sources }: Pick<Inventory, "sources">): readonly string[] {
  const rules = sources.get(source)?.policy.backups;
  const rule = type === null || type === "log" ? undefined : (rules?.get(type) ?? rules?.get("full"));
  return rule?.repositories ?? [];
}
