import { formatSeconds } from "../domain/duration.ts";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import { systemClock } from "../clock.ts";
import { codeOf, HoldfastError, must } from "../errors.ts";
import { parseRestoreTarget } from "../domain/restore-target.ts";
import { drillByKind, selectByKind } from "../operations/drill/drill-by-kind.ts";
import type { DrillResult } from "../operations/drill/drill.ts";
import { DRILL_SELECTIONS } from "../operations/drill/drill-select.ts";
import type { DrillSelection } from "../operations/drill/drill-select.ts";
import { findSegregation } from "../operations/drill/segregation.ts";
import { newRunId } from "../operations/installation.ts";
import { parseRecoverySheet } from "../operations/keys/recovery-sheet.ts";
import type { RecoverySheet, SheetRepository } from "../operations/keys/recovery-sheet.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { runDrill } from "../operations/drill/run-drill.ts";
import { serverUser } from "../postgres/process.ts";
import { newCommand, openReading, openViews, perform, requireOpenable, withoutInventory } from "./action.ts";
import type { CommonOptions, Reading, Tools } from "./action.ts";

interface DrillOptions extends CommonOptions {
  readonly select: DrillSelection;
  readonly to?: string;
  readonly from?: string;
  readonly keep?: boolean;
  readonly scratch?: string;
  readonly binaries?: string;
  readonly asStranger?: string;
}

const EXIT: Record<DrillResult["verdict"], number> = { pass: 0, pass_with_warnings: 0, fail: 1, inconclusive: 3 };

export function drillCommand(): Command {
  return withoutInventory(newCommand("drill", "restore into a scratch cluster, start it, check it, time it, record it", "holdfast drill orders --select random-time"))
    .argument("[source]", "which source (may be left out where there is one)")
    .addOption(new Option("--select <how>", "which recovery point").choices([...DRILL_SELECTIONS]).default("latest"))
    .option("--to <target>", "this recovery point instead: as for restore")
    .option("--from <repository>", "from this copy")
    .option("--keep", "keep the restored folder")
    .option("--scratch <folder>", "without an inventory: where to restore to")
    .option("--binaries <folder>", "without an inventory: where PostgreSQL's programs are (default: where they usually are)")
    .option("--as-stranger <sheet>", "with a recovery sheet and a key, and nothing else: no inventory, no state folder")
    .action(async (source: string | undefined, options: DrillOptions) =>
      perform(options, async (tools) => {
        const result = await run(source, options, tools);
        tools.output.result(result, () => describe(result));
        return EXIT[result.verdict];
      }),
    );
}

async function run(source: string | undefined, options: DrillOptions, tools: Tools): Promise<DrillResult> {
  if (options.asStranger !== undefined) return drillAsStranger(source, options.asStranger, options, tools);
  const reading = await openReading(source, options, tools);
  requireOpenable(reading);
  if (reading.app !== null && reading.config !== null)
    return runDrill(
      reading.app,
      { source: reading.config, select: options.select, to: options.to ?? null, repository: options.from ?? null, keep: options.keep === true, ...BY_HAND },
      tools.context,
    );
  return drillBare(reading, options, tools);
}

/** All that is used is on the page; and the key on it must be one of the repository that is found there. */
async function drillAsStranger(source: string | undefined, file: string, options: DrillOptions, tools: Tools): Promise<DrillResult> {
  if (options.repository !== undefined)
    throw new HoldfastError("HF-USAGE", "the recovery sheet says where the repository is", { hint: "leave out --repository; --from NAME chooses among several" });
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new HoldfastError("HF-USAGE", `the recovery sheet ${file} cannot be read (${codeOf(cause) ?? "error"})`, { hint: "--as-stranger sheet.txt", cause });
  });
  const { name, url, endpoint, region, keyId } = chooseFromSheet(parseRecoverySheet(text), options.from);
  const place = { repository: url, ...(endpoint === null ? {} : { endpoint }), ...(region === null ? {} : { region }) };
  const reading = await openReading(source, { ...options, ...place }, tools);
  const { chain } = must(reading.repositories[0], "a repository");
  if (!chain.links.some((link) => link.keyId === keyId))
    throw new HoldfastError("HF-KEY", `what lies at ${url} does not have the key of ${name} on the sheet (${keyId})`, {
      hint: "either the sheet is of another repository, or somebody put another one in its place",
    });
  if (chain.newest.keyId !== keyId) tools.output.notice("note: the key was rotated since this sheet was made: print it again");
  return drillBare(reading, options, tools);
}

function chooseFromSheet({ repositories }: RecoverySheet, name: string | undefined): SheetRepository {
  const found = name === undefined ? repositories[0] : repositories.find((repository) => repository.name === name);
  if (found !== undefined) return found;
  throw new HoldfastError("HF-USAGE", `the sheet names no repository ${JSON.stringify(name)}`, {
    hint: `choose one of: ${repositories.map((repository) => repository.name).join(", ")}`,
  });
}

/** Without an inventory nothing is recorded and there are no objectives; the proof is the same. */
async function drillBare(reading: Reading, options: DrillOptions, tools: Tools): Promise<DrillResult> {
  if (options.scratch === undefined) throw new HoldfastError("HF-USAGE", "where should the drill restore to?", { hint: "--scratch /folder/with/room" });
  const [view] = await openViews(reading, tools.output.notice);
  const seed = newRunId(systemClock);
  const asked = options.to === undefined ? null : parseRestoreTarget(options.to);
  if (typeof asked === "string") throw new HoldfastError("HF-TARGET", asked);
  const copy = must(view, "a copy");
  const choice = asked === null ? selectByKind(copy, options.select, seed, systemClock.now()) : { target: asked, backup: null };
  tools.output.notice("note: without an inventory this drill is not put on record");
  return drillByKind(
    {
      id: seed,
      view: copy,
      ...choice,
      scratchDirectory: path.resolve(options.scratch),
      binaries: options.binaries === undefined ? [] : [path.resolve(options.binaries)],
      runAs: await serverUser(null),
      maxBytes: null,
      memoryBytes: null,
      objectives: { rtoSeconds: null, rpoSeconds: null },
      checks: [],
      heartbeat: null,
      keep: options.keep === true,
      segregation: await findSegregation(null),
    },
    tools.context,
  );
}

function describe(result: DrillResult): string {
  const lines = [
    `${result.verdict}${result.fault === null ? "" : ` (fault: ${result.fault})`}  ${result.backupId ?? "no backup"} from ${result.repository}, to ${result.target}`,
    ...result.reasons.map((reason) => `  ${reason}`),
    ...(result.expectedLsn === null && result.achievedLsn === null ? [] : [`  expected ${result.expectedLsn ?? "unknown"}, reached ${result.achievedLsn ?? "nothing"}`]),
    `  recovery time ${result.rtoActualSeconds === null ? "unknown" : formatSeconds(result.rtoActualSeconds)}${result.rtoObjectiveSeconds === null ? "" : ` (objective ${formatSeconds(result.rtoObjectiveSeconds)})`}`,
    `  recovery point ${result.rpoActualSeconds === null ? "not applicable" : formatSeconds(result.rpoActualSeconds)}${result.rpoObjectiveSeconds === null ? "" : ` (objective ${formatSeconds(result.rpoObjectiveSeconds)})`}`,
    `  ${result.phases.map(({ name, seconds }) => `${name} ${formatSeconds(seconds)}`).join(", ")}`,
    `  ${result.checks.filter(({ outcome }) => outcome === "pass").length} of ${result.checks.length} checks passed`,
    ...(result.keptAt === null ? [] : [`  kept at ${result.keptAt}`]),
  ];
  return `${lines.join("\n")}\n`;
}
