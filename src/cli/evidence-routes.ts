import type { Command } from "commander";
import { EVIDENCE_ROUTES, routeState } from "../catalog/evidence-routes.ts";
import type { RouteState } from "../catalog/evidence-routes.ts";
import { HoldfastError } from "../errors.ts";
import { stampEvidence } from "../operations/evidence/stamp-evidence.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

export function stampCommand(): Command {
  return newCommand("stamp", "has the evidence stamped by the time-stamp authority of the inventory, now ('serve' does it by itself)", "holdfast evidence stamp").action(
    async (options: CommonOptions) =>
      perform(options, async ({ output, context, openApp }) => {
        const app = await openApp();
        if (app.inventory.evidence.timestamps === null)
          throw new HoldfastError("HF-CONFIG", "the inventory names no time-stamp authority", {
            hint: "evidence: { timestamps: { authority: https://…, certificates: ./authority.pem } }",
          });
        const outcome = await stampEvidence(app, { force: true, signal: context.signal });
        const stamp = outcome.kind === "stamped" ? { at: outcome.stamp.at.toISOString(), authority: outcome.stamp.authority } : null;
        output.result({ stamped: stamp !== null, ...stamp }, () => (stamp === null ? "nothing is new since the last stamp\n" : `stamped: ${stamp.at} by ${stamp.authority}\n`));
        return 0;
      }),
  );
}

export function statusCommand(): Command {
  return newCommand("status", "how far evidence has come: the second place, and time stamps", "holdfast evidence status").action(async (options: CommonOptions) =>
    perform(options, async ({ output, openApp }) => {
      const app = await openApp();
      const entries = (await app.journal.evidence.head())?.sequence ?? 0;
      const routes = EVIDENCE_ROUTES.filter((route) => app.inventory.evidence[route] !== null).map((route) => routeState(app.catalog, route));
      const told = routes.map(({ triedAt: _triedAt, ...state }) => ({ ...state, behind: entries - (state.sequence ?? 0) }));
      output.result({ writer: app.journal.evidence.writer, entries, routes: told }, () =>
        [
          `${entries} entries of ${app.journal.evidence.writer.slice(0, 16)}`,
          ...(told.length === 0 ? ["neither a second place nor a time-stamp authority is configured"] : told.map(describeRoute)),
          "",
        ].join("\n"),
      );
      return told.some(({ failingSince }) => failingSince !== null) ? 1 : 0;
    }),
  );
}

function describeRoute({ route, sequence, at, behind, lastSuccessAt, failingSince, error }: Omit<RouteState, "triedAt"> & { readonly behind: number }): string {
  const name = route === "second" ? "second place" : "time stamps";
  const reached = sequence === null ? "nothing yet" : `up to entry ${sequence}${at === null ? "" : `, stamped ${at}`}${behind === 0 ? "" : `, ${behind} behind`}`;
  return `${name}: ${reached}${lastSuccessAt === null ? "" : ` (last ${lastSuccessAt})`}${failingSince === null ? "" : `; failing since ${failingSince}: ${error}`}`;
}
