import { Command } from "commander";
import { findInventory } from "../app.ts";
import { HoldfastError } from "../errors.ts";
import { formatFindings, inventoryFindings } from "../policy/feasibility.ts";
import { loadInventory } from "../policy/load.ts";
import { loadPolicy } from "../policy/load-policy.ts";
import { configError } from "../policy/problem.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { approveCommand } from "./policy-approve.ts";
import { diffCommand } from "./policy-diff.ts";
import { explainCommand } from "./policy-explain.ts";
import { simulateCommand } from "./policy-simulate.ts";

interface ValidateOptions extends CommonOptions {
  readonly allowInfeasible?: boolean;
}

export function policyCommand(): Command {
  return new Command("policy")
    .description("policies: are they valid, and can they hold what they promise?")
    .addCommand(validateCommand())
    .addCommand(explainCommand())
    .addCommand(simulateCommand())
    .addCommand(diffCommand())
    .addCommand(approveCommand());
}

function validateCommand(): Command {
  return newCommand("validate", "every problem of the inventory and its policies, with lines; and objectives they cannot hold", "holdfast policy validate")
    .argument("[file]", "one policy file by itself (default: the inventory and all policies it uses)")
    .option("--allow-infeasible", "exit 0 also where an objective cannot be held")
    .action(async (file: string | undefined, options: ValidateOptions) =>
      perform(options, async ({ output }) => {
        if (file !== undefined) {
          const loaded = await loadPolicy(file);
          if (!loaded.ok) throw configError(loaded.problems);
          output.result({ valid: true, findings: [] }, () => `${file} is valid; whether its objectives can be held is known only with an inventory\n`);
          return 0;
        }
        const inventory = findInventory(options.config);
        if (inventory === null) throw new HoldfastError("HF-CONFIG", "there is no inventory (holdfast.yaml)", { hint: "name it with --config, or name a policy file" });
        const loaded = await loadInventory(inventory);
        if (!loaded.ok) throw configError(loaded.problems);
        const findings = inventoryFindings(loaded);
        const infeasible = findings.some(({ severity }) => severity === "infeasible");
        output.result({ valid: true, feasible: !infeasible, findings }, () => `${inventory} is valid\n${findings.length === 0 ? "" : `${formatFindings(findings)}\n`}`);
        return infeasible && options.allowInfeasible !== true ? 1 : 0;
      }),
    );
}
