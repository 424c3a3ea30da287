import { createHash } from "node:crypto";
import { listOpenAlerts, standingOf, updateAlertDetail } from "../catalog/alerts.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import { NOTHING_WATCHED, planAlertChanges } from "../domain/alert-changes.ts";
import type { AlertWatch } from "../domain/alert-changes.ts";
import { assessSource } from "../domain/alert-conditions.ts";
import type { AlertCondition, SystemAlertFacts } from "../domain/alert-facts.ts";
import { assessAll, assessSystem } from "../domain/alert-system-conditions.ts";
import type { JudgedSource } from "../domain/alert-system-conditions.ts";
import type { ReportSource } from "../domain/compliance.ts";
import { readSourceFacts } from "./source-facts.ts";

type AlertEvidence = "alert.raised" | "alert.resolved";

export interface AlertKeeperOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Those of now. */
  readonly sources: () => readonly ReportSource[];
  readonly systemFacts: () => SystemAlertFacts;
  /** Puts a change on record, from which it comes into the catalog. */
  readonly record: (kind: AlertEvidence, facts: Record<string, unknown>) => Promise<unknown>;
}

/** A source is judged anew this often, however fast the others are: the queries of a thousand cost a fraction of a second. */
const JUDGE_EVERY_MS = 5000;
/** So many sources are judged in one go; then others have their turn. */
const SOURCES_AT_ONCE = 20;

/** Keeps the alerts of the catalog as they should be by what the catalog knows. What was seen for how long is in here; everything else is on record. */
export class AlertKeeper {
  readonly #options: AlertKeeperOptions;
  readonly #judged = new Map<string, JudgedSource & { readonly atMs: number }>();
  #watch: AlertWatch = NOTHING_WATCHED;

  constructor(options: AlertKeeperOptions) {
    this.#options = options;
  }

  /** Looks once, and puts on record what changed. Returns how much that was. */
  async look(): Promise<number> {
    const { catalog, clock, systemFacts, record } = this.#options;
    const sources = await this.#judgeSources();
    const assessment = assessAll(sources, assessSystem(systemFacts(), clock.now()));
    const standing = listOpenAlerts(catalog).map(standingOf);
    const { raise, resolve, update, watch } = planAlertChanges(standing, assessment, this.#watch, clock.monotonicMs());
    this.#watch = watch;
    for (const condition of raise) await record("alert.raised", raisedFacts(condition, clock.now()));
    for (const { id, key } of resolve) await record("alert.resolved", { alert: id, key });
    for (const { id, detail } of update) updateAlertDetail(catalog, id, detail);
    return raise.length + resolve.length;
  }

  async #judgeSources(): Promise<JudgedSource[]> {
    const { catalog, clock, sources } = this.#options;
    let fresh = 0;
    const all = sources();
    const names = new Set(all.map(({ name }) => name));
    for (const name of this.#judged.keys()) if (!names.has(name)) this.#judged.delete(name);
    for (const source of all) {
      const nowMs = clock.monotonicMs();
      if (nowMs - (this.#judged.get(source.name)?.atMs ?? Number.NEGATIVE_INFINITY) < JUDGE_EVERY_MS) continue;
      const facts = readSourceFacts(catalog, source);
      this.#judged.set(source.name, { copies: facts.copies, assessment: assessSource(facts, clock.now()), atMs: nowMs });
      if (++fresh % SOURCES_AT_ONCE === 0) await clock.sleep(0);
    }
    return [...this.#judged.values()];
  }
}

function raisedFacts({ since, ...condition }: AlertCondition, now: Date): Record<string, unknown> {
  return { alert: newAlertId(condition.key, now), ...condition, since: since ?? now.toISOString() };
}

/** Sortable by time, and another for another key at the same time: `20261127T234512Z-3f9a2c81`. */
function newAlertId(key: string, now: Date): string {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return `${time}-${createHash("sha256").update(`${now.toISOString()} ${key}`).digest("hex").slice(0, 8)}`;
}
