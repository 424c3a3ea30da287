import { findAlert } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { HoldfastError, must } from "../errors.ts";

export interface Acknowledgement {
  readonly id: string;
  /** Who takes care of it. */
  readonly by: string;
  readonly reason: string | null;
}

/**
 * Puts on record that somebody takes care of an alert. It stays until what is wrong is over. To acknowledge it again changes nothing: the first name stands.
 * `record`: puts an entry on record, from which it comes into the catalog.
 */
export async function acknowledgeAlert(
  catalog: Catalog,
  { id, by, reason }: Acknowledgement,
  record: (kind: "alert.acknowledged", facts: Record<string, unknown>) => Promise<unknown>,
): Promise<Alert> {
  const alert = findAlert(catalog, id);
  if (alert === null) throw new HoldfastError("HF-USAGE", `there is no alert ${JSON.stringify(id)}`, { hint: "'holdfast alert list' shows the ids of those that are open" });
  if (alert.state === "resolved") throw new HoldfastError("HF-USAGE", `the alert ${id} is over since ${alert.resolvedAt}`, { hint: "there is nothing to take care of any more" });
  if (alert.state === "open") await record("alert.acknowledged", { alert: id, key: alert.key, by, reason });
  return must(findAlert(catalog, id), "the alert that was just there");
}
