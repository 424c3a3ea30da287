import { parseRestoreTarget } from "../domain/restore-target.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError } from "../errors.ts";
import { kindOf, openReading, requireOpenable } from "./action.ts";
import type { CommonOptions, Reading, Tools } from "./action.ts";
import { runDumpRestore } from "./restore-dumps.ts";
import { runTreeRestore } from "./restore-tree.ts";

type Options = CommonOptions & { readonly to: string; readonly from?: string; readonly into?: string } & Parameters<typeof runDumpRestore>[2] &
  Parameters<typeof runTreeRestore>[2];

/** What is no cluster, restored by its kind; null: it is one. What kinds of source there are is asked here, and nowhere below. */
export async function restoreOther(reading: Reading, where: { target: RestoreTarget; folder: string }, options: Options, tools: Tools): Promise<number | null> {
  const kind = await kindOf(reading);
  if (kind === "files") return runTreeRestore(reading, where, options, tools);
  if (kind === "postgres-logical") return runDumpRestore(reading, where, options, tools);
  if (options.into !== undefined) throw new HoldfastError("HF-USAGE", "--into is for databases by pg_dump", { hint: "a cluster is restored into a folder: --target" });
  return null;
}

/** Without a folder there must be a server, and databases to be loaded into it. */
export async function restoreInto(source: string | undefined, options: Options, tools: Tools): Promise<number> {
  const hint = "--target /srv/restored";
  if (options.into === undefined) throw new HoldfastError("HF-USAGE", "where should it be restored to?", { hint });
  const target = parseRestoreTarget(options.to);
  if (typeof target === "string") throw new HoldfastError("HF-TARGET", target, { hint: "--to latest, or a time with a zone" });
  const reading = await openReading(source, options, tools);
  requireOpenable(reading);
  if ((await kindOf(reading)) !== "postgres-logical") throw new HoldfastError("HF-USAGE", "--into is for databases by pg_dump", { hint });
  return runDumpRestore(reading, { target, folder: null }, options, tools);
}
