import type { Command } from "commander";
import { authenticate } from "../access/authenticate.ts";
import { parseSecretRef, resolveSecret } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import { approvePolicy } from "../operations/policy/approve-policy.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

interface ApproveOptions extends CommonOptions {
  readonly token: string;
}

export function approveCommand(): Command {
  return newCommand("approve", "bring a change that weakens a policy into force, as somebody else than who made it", "holdfast policy approve critical --token env:HOLDFAST_TOKEN")
    .argument("<name>", "which policy")
    .option("--token <reference>", "where the token of an admin is: env:NAME or file:/path", "env:HOLDFAST_TOKEN")
    .action(async (name: string, options: ApproveOptions) =>
      perform(options, async ({ output, openApp }) => {
        const reference = parseSecretRef(options.token);
        if (reference === null) throw new HoldfastError("HF-USAGE", "--token must say where the token is, not the token itself", { hint: "env:NAME or file:/path" });
        const app = await openApp();
        const who = authenticate({ catalog: app.catalog, writer: app.journal.evidence.writer, now: app.clock.now() }, await resolveSecret(reference, "the token"));
        if (!who.ok) throw new HoldfastError("HF-KEY", `the token opens nothing: it is ${who.why}`, { hint: "see 'holdfast token list'" });
        const { at, by } = await approvePolicy(app, { name, identity: who.identity });
        output.result(
          { policy: name, changedAt: at, changedBy: by, approvedBy: who.identity.name },
          () => `the change of ${name} by ${by} (${at}) is in force, approved by ${who.identity.name}\n`,
        );
        return 0;
      }),
    );
}
