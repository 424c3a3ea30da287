import type { Catalog } from "../catalog/catalog.ts";
import { readSamples, sampledCopies } from "../catalog/compliance-queries.ts";
import { restatementsOf } from "../catalog/restatements.ts";
import { copiesWithObjective } from "../domain/compliance.ts";
import type { CopyExposure, ObjectiveVerdict, ReportSource } from "../domain/compliance.ts";
import { MOST_UNOBSERVED_SHARE } from "../domain/control-rules.ts";
import { summariseExposure } from "../domain/exposure-series.ts";
import type { ExposureSummary } from "../domain/exposure-series.ts";
import { SAMPLE_HOLDS_SECONDS } from "../domain/exposure-stretches.ts";
import { restate } from "../domain/restatement.ts";

/** Steps of the series: about as many as a page is wide enough to show. */
const SERIES_STEPS = 240;

/**
 * How exposed each copy of a source was in [from, to): those that must hold the objective by themselves, whether sampled or not, and all that were ever sampled. `record`: what is on record about samples that
 * turned out to have been wrong, where that is not in the same catalog.
 */
export function exposureOf(catalog: Catalog, source: ReportSource, { from, to }: { from: Date; to: Date }, record: Catalog = catalog): CopyExposure[] {
  const obliged = copiesWithObjective(source);
  const repositories = [...new Set([...obliged, ...sampledCopies(catalog, source.name)])];
  const restated = restatementsOf(record, source.name);
  const holdingFrom = new Date(from.getTime() - SAMPLE_HOLDS_SECONDS * 1000);
  return repositories.map((repository) => {
    const samples = readSamples(catalog, { source: source.name, repository, from: holdingFrom.toISOString(), to: to.toISOString() });
    const { rpoSeconds } = source.objectives;
    const restatements = restated.filter((each) => each.repository === repository && each.from < to.toISOString() && each.until > from.toISOString());
    const summary = summariseExposure(restate(samples, restatements, rpoSeconds), { from, to, objectiveSeconds: rpoSeconds, steps: SERIES_STEPS });
    return { repository, objectiveApplies: obliged.includes(repository), verdict: verdictOf(summary), ...summary, restatements };
  });
}

/** One moment beyond the objective is a breach; but to have held it takes more than not having been seen. */
function verdictOf({ breaches, unobservedShare }: ExposureSummary): ObjectiveVerdict {
  if (breaches.length > 0) return "breached";
  return unobservedShare === null || unobservedShare > MOST_UNOBSERVED_SHARE ? "not_evidenced" : "held";
}

/** Of all copies that must hold the objective, the worst. */
export function recoveryPointVerdict(copies: readonly CopyExposure[]): ObjectiveVerdict {
  const verdicts = copies.filter(({ objectiveApplies }) => objectiveApplies).map(({ verdict }) => verdict);
  if (verdicts.includes("breached")) return "breached";
  return verdicts.length === 0 || verdicts.includes("not_evidenced") ? "not_evidenced" : "held";
}
