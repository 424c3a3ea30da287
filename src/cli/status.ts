import { formatSeconds } from "../domain/duration.ts";
import type { Command } from "commander";
import type { App } from "../app.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { readBrief } from "../catalog/snapshots.ts";
import { listOpenAlerts } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import { summariseLedger } from "../catalog/verify-ledger.ts";
import type { VerificationView } from "../domain/source-info.ts";
import { overallStatus } from "../compliance/current-status.ts";
import type { CurrentStatus, OverallStatus } from "../compliance/current-status.ts";
import { chooseSources } from "../operations/installation.ts";
import type { SourceConfig } from "../policy/types.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { isServed } from "./scheduler-claim.ts";
import { notSeenLately } from "./seen-lately.ts";
import { formatTable } from "./table.ts";

const VERDICT_WORDS = { ok: "held", breached: "NOT HELD", unknown: "UNKNOWN" } as const;

export function statusCommand(): Command {
  return newCommand("status", "one screen; exit 1 when an objective is not held, or nobody knows (for cron and Nagios)", "holdfast status")
    .argument("[source]", "which source (default: all)")
    .option("--observe", "look at every source now, also at those that 'holdfast serve' saw within the last minute")
    .action(async (name: string | undefined, options: CommonOptions & { observe?: boolean }) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const sources = chooseSources(app.inventory, name);
        const unseen = options.observe === true || !isServed(app) ? sources : notSeenLately(app, sources);
        const late = unseen.length === 0 ? [] : await lookAt(app, unseen);
        if (late.length > 0)
          output.notice(`note: could not look in time at ${late.slice(0, MOST_NAMED).join(", ")}${late.length > MOST_NAMED ? ` and ${late.length - MOST_NAMED} more` : ""}`);
        const status = overallStatus(app.catalog, sources, app.clock.now());
        const alerts = listOpenAlerts(app.catalog, name ?? null);
        const verification = sources.flatMap(({ name: source }) => verificationOf(app.catalog, source).map((each) => ({ source, ...each })));
        output.result(
          { ...status, alerts, verification },
          () => `${describe(status)}${describeAge(status, unseen.length)}${verification.map(describeVerification).join("")}${describeAlerts(alerts)}`,
        );
        return status.verdict === "ok" ? 0 : 1;
      }),
    );
}

/** What looks at servers and repositories is loaded for it: where 'serve' keeps what is shown, most of the time would go into that. */
async function lookAt(app: App, sources: readonly SourceConfig[]): Promise<string[]> {
  const { observeNow } = await import("./observe-sources.ts");
  return observeNow(app, sources);
}

/** How many names a line lists. */
const MOST_NAMED = 5;

/** As of the last look: to count anew takes reading every piece that there is. */
function verificationOf(catalog: Catalog, source: string): readonly VerificationView[] {
  return readBrief(catalog, source)?.brief.verification ?? summariseLedger(catalog, source);
}

/** Where nothing was looked at just now, what is shown was seen by 'serve', a moment ago. */
function describeAge({ sources }: OverallStatus, looked: number): string {
  const oldest = sources.flatMap(({ seenAt }) => seenAt ?? []).toSorted()[0];
  return looked === sources.length || oldest === undefined ? "" : `  as 'holdfast serve' saw it, at ${oldest} or later ('--observe' looks now)\n`;
}

function describe({ sources }: OverallStatus): string {
  const rows = sources.map((source) => [
    source.name,
    VERDICT_WORDS[source.verdict],
    source.recoverableTo ?? "nothing",
    `${secondsOrUnknown(worstExposure(source))} of ${formatSeconds(source.objectives.rpoSeconds)}`,
    `${secondsOrUnknown(source.lastRtoSeconds)} of ${formatSeconds(source.objectives.rtoSeconds)}`,
    source.lastProvenAt ?? "never",
  ]);
  const reasons = sources.flatMap(({ name, reasons: all }) => all.map(({ text }) => `  ${name}: ${text}\n`));
  return `${formatTable(["source", "objectives", "recoverable to", "exposure", "recovery time", "last proof"], rows)}${reasons.join("")}`;
}

function describeVerification({ source, repository, objects, verifiedObjects, damagedObjects, oldestVerifiedAt }: VerificationView & { source: string }): string {
  const state = oldestVerifiedAt === null ? `${verifiedObjects} of ${objects} pieces verified` : `all ${objects} pieces verified since ${oldestVerifiedAt}`;
  return `  ${source}: ${repository}: ${state}${damagedObjects === 0 ? "" : `, ${damagedObjects} DAMAGED`}\n`;
}

function describeAlerts(alerts: readonly Alert[]): string {
  const lines = alerts.map(
    ({ severity, title, state, acknowledgedBy }) => `  ${severity} ${title}${state === "acknowledged" ? ` (${acknowledgedBy ?? "somebody"} takes care of it)` : ""}\n`,
  );
  return lines.length === 0 ? "" : `alerts\n${lines.join("")}`;
}

/** Every copy that the log goes to must hold the objective by itself: the worst counts, and one unknown makes it unknown. */
function worstExposure({ copies }: CurrentStatus): number | null {
  const seconds = copies.filter(({ objectiveApplies }) => objectiveApplies).map(({ exposureSeconds }) => exposureSeconds);
  return seconds.length === 0 ? null : seconds.reduce((worst, value) => (worst === null || value === null ? null : Math.max(worst, value)));
}

function secondsOrUnknown(value: number | null): string {
  return value === null ? "unknown" : formatSeconds(value);
}
