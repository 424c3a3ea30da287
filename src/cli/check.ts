import type { Command } from "commander";
import { openConfiguredStore } from "../open-stores.ts";
import type { App } from "../app.ts";
import { HoldfastError } from "../errors.ts";
import { checkSource } from "../operations/check-source.ts";
import type { CheckItem } from "../operations/check-item.ts";
import { chooseSources } from "../operations/installation.ts";
import { grantsSql } from "../postgres/grants.ts";
import { DESCRIPTOR_KEY } from "../repository/layout.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { probeStore } from "../storage/store-probe.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

const MARK: Record<CheckItem["outcome"], string> = { ok: "ok", warning: "WARN", fail: "FAIL" };
/** The signatures are the same for every version from 15 on. */
const NEWEST_GRANTS = 18;

interface Checked {
  readonly name: string;
  readonly items: readonly CheckItem[];
}

export function checkCommand(): Command {
  return newCommand("check", "find out beforehand what would make a backup fail", "holdfast check orders")
    .argument("[source]", "which source (default: all)")
    .option("--repository <name>", "instead of sources, whether this repository's store does what a repository needs: tried in a folder of its own, and cleared away")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const repositories = options.repository === undefined ? [] : [await checkStore(app, options.repository)];
        const sources: Checked[] = [];
        for (const source of options.repository === undefined || name !== undefined ? chooseSources(app.inventory, name) : [])
          sources.push({ name: source.name, items: await checkSource(app, source) });
        const results = [...repositories, ...sources];
        const ok = results.every(({ items }) => items.every((item) => item.outcome !== "fail"));
        output.result({ ok, sources, repositories }, () => results.map(describe).join("\n"));
        return ok ? 0 : 1;
      }),
    );
}

/** Whether or not there is a repository in it yet, and without its key. */
async function checkStore({ inventory, clock }: App, name: string): Promise<Checked> {
  const config = inventory.repositories.get(name);
  if (config === undefined)
    throw new HoldfastError("HF-USAGE", `there is no repository ${JSON.stringify(name)}`, { hint: `choose one of: ${[...inventory.repositories.keys()].join(", ")}` });
  const store = await openConfiguredStore(config, clock, inventory);
  const findings = await probeStore(store);
  const canBeRead = findings.length > 1;
  return { name, items: canBeRead ? [...findings, await lookForRepository(store)] : findings };
}

/** A store that is sound and empty may be one that is not mounted, or the wrong bucket. */
async function lookForRepository(store: ObjectStore): Promise<CheckItem> {
  const isThere = (await store.size(DESCRIPTOR_KEY)) !== null;
  if (isThere) return { name: "repository", outcome: "ok", detail: `there is one at ${store.url}`, hint: null };
  return { name: "repository", outcome: "warning", detail: `there is none at ${store.url}`, hint: "check the address, or create it: 'holdfast init'" };
}

function describe({ name, items }: Checked): string {
  const lines = items.flatMap((item) => [`  ${MARK[item.outcome].padEnd(4)}  ${item.name}: ${item.detail}`, ...(item.hint === null ? [] : [`        ${item.hint}`])]);
  const grants = items.some((item) => item.name === "privileges" && item.outcome === "fail") ? ["", ...grantsSql("holdfast", NEWEST_GRANTS)] : [];
  return `${[name, ...lines, ...grants].join("\n")}\n`;
}
