import type { Catalog } from "../catalog/catalog.ts";
import { appendEvent } from "../catalog/events.ts";
import type { ReportSource } from "../domain/compliance.ts";
import type { CurrentCopy } from "../domain/control-now.ts";
import { currentStatus } from "./current-status.ts";

type ExposureState = "held" | "breached" | "unobserved" | "without_objective";

/** Tells when a copy begins or ceases to hold its objective, or to be observed. What it was before the process began is not known: then how it is, is told once. */
export class ExposureWatch {
  readonly #states = new Map<string, ExposureState>();

  look(catalog: Catalog, source: ReportSource, now: Date): void {
    for (const copy of currentStatus(catalog, source, now).copies) {
      const key = `${source.name}/${copy.repository}`;
      const [before = null, state] = [this.#states.get(key), stateOf(copy)];
      if (before === state) continue;
      this.#states.set(key, state);
      const data = { repository: copy.repository, state, before, exposureSeconds: copy.exposureSeconds };
      appendEvent(catalog, { at: now.toISOString(), kind: "exposure.changed", source: source.name, data });
    }
  }
}

function stateOf({ observed, objectiveApplies, held }: CurrentCopy): ExposureState {
  if (!observed) return "unobserved";
  if (!objectiveApplies || held === null) return "without_objective";
  return held ? "held" : "breached";
}
