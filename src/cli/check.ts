import type { Command } from "commander";
import { checkSource } from "../operations/check-source.ts";
import type { CheckItem } from "../operations/check-source.ts";
import { chooseSources } from "../operations/installation.ts";
import { grantsSql } from "../postgres/grants.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

const MARK: Record<CheckItem["outcome"], string> = { ok: "ok", warning: "WARN", fail: "FAIL" };
/** The signatures are the same for every version from 15 on. */
const NEWEST_GRANTS = 18;

export function checkCommand(): Command {
  return newCommand("check", "find out beforehand what would make a backup fail", "holdfast check orders")
    .argument("[source]", "which source (default: all)")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const sources = chooseSources(app.inventory, name);
        const results: { name: string; items: CheckItem[] }[] = [];
        for (const source of sources) results.push({ name: source.name, items: await checkSource(app, source) });
        const ok = results.every(({ items }) => items.every((item) => item.outcome !== "fail"));
        output.result({ ok, sources: results }, () => results.map(describe).join("\n"));
        return ok ? 0 : 1;
      }),
    );
}

function describe({ name, items }: { name: string; items: readonly CheckItem[] }): string {
  const lines = items.flatMap((item) => [`  ${MARK[item.outcome].padEnd(4)}  ${item.name}: ${item.detail}`, ...(item.hint === null ? [] : [`        ${item.hint}`])]);
  const grants = items.some((item) => item.name === "privileges" && item.outcome === "fail") ? ["", ...grantsSql("holdfast", NEWEST_GRANTS)] : [];
  return `${[name, ...lines, ...grants].join("\n")}\n`;
}
