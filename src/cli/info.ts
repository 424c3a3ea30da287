import { formatSeconds } from "../domain/duration.ts";
import type { Command } from "commander";
import type { App } from "../app.ts";
import type { BackupCopyView, SourceInfo, VerificationView } from "../domain/source-info.ts";
import { systemClock } from "../clock.ts";
import type { HoldfastError } from "../errors.ts";
import { describeSource, REPOSITORIES_ALONE } from "../operations/info.ts";
import { askLocks } from "../operations/look-at-locks.ts";
import { chooseSources, repositoriesOf } from "../operations/installation.ts";
import { observeSource } from "../operations/observe.ts";
import type { SourceConfig } from "../policy/types.ts";
import { newCommand, formerViews, openReading, openViews, perform, withoutInventory } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";
import { formatTable } from "./table.ts";

export function infoCommand(): Command {
  return withoutInventory(newCommand("info", "backups, recovery windows with gaps, exposure now, last proof", "holdfast info orders"))
    .argument("[source]", "which source (default: all)")
    .action(async (source: string | undefined, options: CommonOptions) =>
      perform(options, async (tools) => {
        // When locks were asked is for whoever looks again, and asked they were just now.
        const sources = (await collect(source, options, tools)).map(({ locksAskedAt: _asked, ...info }) => info);
        tools.output.result({ sources }, () => sources.map(describe).join("\n"));
        return 0;
      }),
    );
}

async function collect(source: string | undefined, options: CommonOptions, tools: Tools): Promise<SourceInfo[]> {
  if (options.repository === undefined) {
    const app = await tools.openApp();
    const configs = chooseSources(app.inventory, source);
    const infos: SourceInfo[] = [];
    for (const config of configs) infos.push(await observe(app, config, tools));
    return infos;
  }
  const reading = await openReading(source, options, tools);
  const [views, now] = [await openViews(reading), systemClock.now()];
  const former = await formerViews(views);
  return [
    await describeSource({
      name: reading.name,
      views,
      former,
      ...REPOSITORIES_ALONE,
      locks: await askLocks([...views, ...former], now),
      now,
    }),
  ];
}

/** A source of which no copy could be read is not one without backups: that is an error, and no answer. */
async function observe(app: App, config: SourceConfig, { output }: Tools): Promise<SourceInfo> {
  const failures: { repository: string; error: HoldfastError }[] = [];
  const info = await observeSource(app, config, { onUnreachable: (repository, error) => void failures.push({ repository, error }), locks: "ask" });
  const [first] = failures;
  if (first !== undefined && failures.length === repositoriesOf(config).length) throw first.error;
  for (const { repository, error } of failures) output.notice(`note: ${repository} was not read: ${error.message}`);
  return info;
}

function describe(info: SourceInfo): string {
  const backups = info.backups.map((backup) => [
    backup.id,
    backup.state === "complete" ? "complete" : `${backup.corruptPages} corrupt pages`,
    formatBytes(backup.sourceBytes),
    formatBytes(backup.storedBytes),
    formatSeconds(backup.durationSeconds),
    backup.copies.map(describeCopy).join(", "),
    [
      ...(backup.held === null ? [] : ["legal hold"]),
      ...(backup.pinned === null ? [] : ["pinned"]),
      ...(backup.heldBy.length === 0 ? [] : [`held by ${backup.heldBy.length}`]),
    ].join(", "),
  ]);
  const windows = info.windows.map(({ repository, systemIdentifier, timeline, from, to, startLsn, endLsn }) => [
    inCluster(repository, systemIdentifier),
    String(timeline),
    from,
    to ?? "unknown",
    startLsn,
    endLsn,
  ]);
  const gaps = info.gaps.map(
    ({ repository, systemIdentifier, timeline, firstSegment, lastSegment }) =>
      `  GAP in ${inCluster(repository, systemIdentifier)}, timeline ${timeline}: ${firstSegment}${firstSegment === lastSegment ? "" : ` to ${lastSegment}`} missing\n`,
  );
  const kept = [{ what: "all of it is on legal hold", mark: info.held }]
    .concat(
      info.backups.flatMap(({ id, pinned, held }) => [
        { what: `${id} is on legal hold`, mark: info.held === null ? held : null },
        { what: `${id} is pinned`, mark: pinned },
      ]),
    )
    .flatMap(({ what, mark }) => (mark === null ? [] : [`  ${what} since ${mark.at}, by ${mark.by}${mark.reason === null ? "" : `: ${mark.reason}`}\n`]));
  const exposure = info.exposure.map(
    ({ repository, seconds }) => `  exposure of ${repository} now: ${seconds === null ? "unknown (not observed)" : seconds === 0 ? "none" : `at most ${formatSeconds(seconds)}`}\n`,
  );
  const proof =
    info.lastProof === null
      ? "never"
      : `${info.lastProof.at} (${info.lastProof.verdict}${info.lastProof.rtoSeconds === null ? "" : `, recovered in ${formatSeconds(info.lastProof.rtoSeconds)}`})`;
  return [
    `${info.name}  ${whatItIs(info)}\n`,
    ...(info.formerClusters ?? []).map(
      ({ systemIdentifier, from, until }) => `  was cluster ${systemIdentifier} from ${from} to ${until}: restore with --cluster ${systemIdentifier}\n`,
    ),
    backups.length === 0 ? "  no backups\n" : formatTable(["backup", "state", "source", "stored", "took", "copies (verified)", ""], backups),
    windows.length === 0 ? `  ${pointsWithoutLog(info)}\n` : formatTable(["recoverable from", "timeline", "from", "to", "start", "end"], windows),
    ...gaps,
    ...unusualSizes(info),
    ...kept,
    ...exposure,
    ...(info.verification ?? []).map(describeVerification),
    `  last proven by a drill: ${proof}\n`,
  ].join("");
}

function unusualSizes({ backups }: SourceInfo): string[] {
  return backups.flatMap(({ id, sizeCheck }) => (typeof sizeCheck?.reason === "string" ? [`  ${id} has an UNUSUAL SIZE: ${sizeCheck.reason}\n`] : []));
}

function inCluster(repository: string, systemIdentifier: string | undefined): string {
  return systemIdentifier === undefined ? repository : `${repository}, cluster ${systemIdentifier}`;
}

function describeCopy({ repository, state, verifiedTier, lockedUntil }: BackupCopyView): string {
  const known = [...(verifiedTier === null ? [] : [verifiedTier]), ...(typeof lockedUntil === "string" ? [`locked until ${lockedUntil}`] : [])];
  return `${repository}${state === "complete" ? "" : ` ${state}`}${known.length === 0 ? "" : ` (${known.join(", ")})`}`;
}

function describeVerification({ repository, objects, verifiedObjects, damagedObjects, oldestVerifiedAt, bytes, verifiedBytes }: VerificationView): string {
  const share = bytes === 0 ? 100 : Math.floor((verifiedBytes / bytes) * 100);
  const age = oldestVerifiedAt === null ? `${objects - verifiedObjects} of ${objects} pieces not verified yet (${share}% are, by size)` : `every piece since ${oldestVerifiedAt}`;
  return `  verified in ${repository}: ${age}${damagedObjects === 0 ? "" : `, ${damagedObjects} DAMAGED`}\n`;
}

function whatItIs({ kind, systemIdentifier, timeline }: SourceInfo): string {
  if (kind === "files") return "a tree of files";
  if (kind === "postgres-logical") return `databases of cluster ${systemIdentifier ?? "unknown"}`;
  return `cluster ${systemIdentifier ?? "unknown"}, timeline ${timeline ?? "unknown"}`;
}

/** Where there is no log, each backup is a point by itself. */
function pointsWithoutLog({ kind, backups }: SourceInfo): string {
  if (backups.length === 0 || kind === undefined || kind === null || kind === "postgres") return "nothing can be recovered";
  return `recoverable to each of ${backups.length} backups, and to no time between them`;
}
