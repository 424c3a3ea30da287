import { rm } from "node:fs/promises";
import path from "node:path";
import { Command } from "commander";
import { rebuildCatalog } from "../operations/rebuild-catalog.ts";
import { loadInventory } from "../policy/load.ts";
import { configError } from "../policy/problem.ts";
import { findInventory } from "../app.ts";
import { HoldfastError } from "../errors.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

export function catalogCommand(): Command {
  return new Command("catalog").description("the local cache of history").addCommand(
    newCommand("rebuild", "make the catalog anew from the evidence in the repositories", "holdfast catalog rebuild").action(async (options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const file = findInventory(options.config);
        if (file === null) throw new HoldfastError("HF-CONFIG", "there is no inventory (holdfast.yaml)", { hint: "name it with --config" });
        const loaded = await loadInventory(file);
        if (!loaded.ok) throw configError(loaded.problems);
        for (const suffix of ["", "-wal", "-shm"]) await rm(path.join(loaded.inventory.state, `catalog.sqlite${suffix}`), { force: true });
        const app = await openApp();
        const result = await rebuildCatalog(app);
        output.result(result, () => `the catalog was made anew from ${result.entries} evidence entries of ${result.writers} writers\n`);
        return 0;
      }),
    ),
  );
}
