import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { VERIFY_TIERS } from "../domain/verify-tier.ts";
import type { VerifyTier } from "../domain/verify-tier.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { runVerify } from "../operations/verify/run-verify.ts";
import type { VerifyEnd, VerifyView } from "../operations/verify/run-verify.ts";
import { verifyRepository } from "../operations/verify/verify-repository.ts";
import { listPieces } from "../operations/verify/verify-pieces.ts";
import { ChosenPieces, sampleView } from "../operations/verify/verify-sample.ts";
import type { SampleRequest } from "../operations/verify/verify-sample.ts";
import { HoldfastError, must } from "../errors.ts";
import { openBareRepository } from "../open-stores.ts";
import { findKey } from "./find-key.ts";
import { newCommand, openReading, perform, withoutInventory } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";

interface VerifyOptions extends CommonOptions {
  readonly tier: VerifyTier;
  readonly backup?: string;
  readonly from?: string;
  readonly sample?: number;
  readonly seed?: string;
}

export function verifyCommand(): Command {
  return withoutInventory(newCommand("verify", "find damage in what the repositories hold", "holdfast verify orders --tier pages"))
    .argument("[source]", "which source (may be left out where there is one)")
    .addOption(new Option("--tier <tier>", "how deep: present < stored < decoded < pages").choices([...VERIFY_TIERS]).default("pages"))
    .option("--backup <id>", "only this backup, what it refers to, and WAL")
    .option("--from <repository>", "only this copy")
    .option("--sample <percent>", "read only so much of it, drawn at random: 5% (what names and small documents tell is checked whole)", parsePercent)
    .option("--seed <text>", "draw the sample that was drawn with this before")
    .action(async (source: string | undefined, options: VerifyOptions) =>
      perform(options, async (tools) => {
        const { view, exitCode } = await verify(source, options, tools);
        tools.output.result(view, () => describe(view));
        return exitCode;
      }),
    );
}

async function verify(source: string | undefined, options: VerifyOptions, tools: Tools): Promise<VerifyEnd> {
  const { tier } = options;
  const backup = options.backup ?? null;
  const sample = sampleOf(options);
  if (options.repository === undefined) {
    const reading = await openReading(source, options, tools);
    return runVerify(
      must(reading.app, "an installation"),
      { source: must(reading.config, "a source"), backup, tier, repository: options.from ?? null, sample, ...BY_HAND },
      tools.context,
    );
  }
  const repository = await openBareRepository(options.repository, await findKey(options.key), options);
  const chosen = new ChosenPieces(sample);
  const result = await verifyRepository(
    { repository, source: source ?? null, backup, tier, choosePieces: async (view) => chosen.choose(async () => listPieces(view)) },
    tools.context,
  );
  const { ok, objects, bytes, damage } = result;
  const drawn = sample === null ? null : sampleView(sample, [chosen]);
  return { view: { backup, ok, tier, objects, bytes, damage, repositories: [repository.name], notReached: [], sample: drawn }, exitCode: ok ? 0 : 1 };
}

function parsePercent(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d{1,6})?)%?$/.exec(text)?.[1];
  const value = Number(percent);
  if (percent === undefined || value <= 0 || value > 100) throw new InvalidArgumentError("a share above 0 and up to 100, such as 5%.");
  return value;
}

const SEED_BYTES = 8;

function sampleOf({ sample, seed, backup }: VerifyOptions): SampleRequest | null {
  if (sample === undefined) {
    if (seed !== undefined) throw new HoldfastError("HF-USAGE", "--seed draws a sample, and none was asked for", { hint: "add --sample 5%" });
    return null;
  }
  if (backup !== undefined) throw new HoldfastError("HF-USAGE", "--sample is of everything, not of one backup", { hint: "leave out --backup" });
  return { percent: sample, seed: seed ?? randomBytes(SEED_BYTES).toString("hex") };
}

function sampleText({ sample }: VerifyView): string {
  return sample === null ? "" : `; read ${sample.drawn} of ${sample.of} pieces (${sample.percent}%, --seed ${sample.seed})`;
}

function describe(view: VerifyView): string {
  const what = `${view.objects} objects, ${formatBytes(view.bytes)} in ${view.repositories.join(", ")}, to tier ${view.tier}${sampleText(view)}`;
  const away = view.notReached.map(({ repository, code, message }) => `${repository} was not looked at: ${code}: ${message}\n`).join("");
  if (view.ok) return `no damage found: ${what}\n${away}`;
  const lines = view.damage.flatMap(({ repository, object, kind, reason, backups, windowsLost }) => [
    `${kind}: ${repository} ${object}`,
    `  ${reason}`,
    ...(backups.length > 0 ? [`  hurts ${backups.join(", ")}`] : []),
    ...windowsLost.map((window) => `  point-in-time recovery lost: ${window}`),
  ]);
  return `${lines.join("\n")}\n${view.damage.length} objects damaged or missing; ${what}\n${away}`;
}
