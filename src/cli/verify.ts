import type { Command } from "commander";
import { Option } from "commander";
import { VERIFY_TIERS } from "../domain/verify-tier.ts";
import type { VerifyTier } from "../domain/verify-tier.ts";
import { BY_HAND } from "../operations/record-run.ts";
import { runVerify } from "../operations/verify/run-verify.ts";
import type { VerifyView } from "../operations/verify/run-verify.ts";
import { verifyRepository } from "../operations/verify/verify-repository.ts";
import { must } from "../errors.ts";
import { openBareRepository } from "../app.ts";
import { findKey } from "./find-key.ts";
import { newCommand, openReading, perform, withoutInventory } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";

interface VerifyOptions extends CommonOptions {
  readonly tier: VerifyTier;
  readonly backup?: string;
  readonly from?: string;
}

export function verifyCommand(): Command {
  return withoutInventory(newCommand("verify", "find damage in what the repositories hold", "holdfast verify orders --tier pages"))
    .argument("[source]", "which source (may be left out where there is one)")
    .addOption(new Option("--tier <tier>", "how deep: present < stored < decoded < pages").choices([...VERIFY_TIERS]).default("pages"))
    .option("--backup <id>", "only this backup, what it refers to, and WAL")
    .option("--from <repository>", "only this copy")
    .action(async (source: string | undefined, options: VerifyOptions) =>
      perform(options, async (tools) => {
        const view = await verify(source, options, tools);
        tools.output.result(view, () => describe(view));
        return view.ok ? 0 : 1;
      }),
    );
}

async function verify(source: string | undefined, options: VerifyOptions, tools: Tools): Promise<VerifyView> {
  const { tier } = options;
  const backup = options.backup ?? null;
  if (options.repository === undefined) {
    const reading = await openReading(source, options, tools);
    return runVerify(must(reading.app, "an installation"), { source: must(reading.config, "a source"), backup, tier, repository: options.from ?? null, ...BY_HAND }, tools.context);
  }
  const repository = await openBareRepository(options.repository, await findKey(options.key), options);
  const result = await verifyRepository({ repository, source: source ?? null, backup, tier }, tools.context);
  return { backup, ok: result.ok, tier, objects: result.objects, bytes: result.bytes, damage: result.damage, repositories: [repository.name] };
}

function describe(view: VerifyView): string {
  const what = `${view.objects} objects, ${formatBytes(view.bytes)} in ${view.repositories.join(", ")}, to tier ${view.tier}`;
  if (view.ok) return `no damage found: ${what}\n`;
  const lines = view.damage.flatMap(({ repository, object, kind, reason, backups, windowsLost }) => [
    `${kind}: ${repository} ${object}`,
    `  ${reason}`,
    ...(backups.length > 0 ? [`  hurts ${backups.join(", ")}`] : []),
    ...windowsLost.map((window) => `  point-in-time recovery lost: ${window}`),
  ]);
  return `${lines.join("\n")}\n${view.damage.length} objects damaged or missing; ${what}\n`;
}
