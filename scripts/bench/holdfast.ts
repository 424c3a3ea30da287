import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../test/support/restored.ts";
import { openSite } from "../../test/support/site.ts";
import { measure } from "./measure.ts";
import type { Tool, ToolSetup } from "./tools.ts";

const MOST_MS = 300_000;
const ROOT = join(import.meta.dirname, "..", "..");

/**
 * Holdfast as a user has it: the command, one process, encryption on, reading local files as pgBackRest does, and WAL streamed all the time. What that costs is measured on its own, as
 * archiving with pgBackRest is.
 */
export async function openHoldfast({ cluster }: Pick<ToolSetup, "cluster">): Promise<Tool> {
  const site = await openSite({ cluster, local: true });
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  const env = { SITE_KEY: site.key, SITE_URL: cluster.url(), HOLDFAST_CONFIG: site.inventory, HOLDFAST_KEY: site.key };
  const run = (...args: string[]): ReturnType<typeof measure> => measure({ file: process.execPath, args: [join(ROOT, "src/main.ts"), ...args], env });
  site.start({}, "wal", "stream", "db");
  const settled = async (): Promise<void> =>
    eventually(
      "WAL is durable",
      async () => {
        const [row] = await cluster.sql("select coalesce(max(flush_lsn) >= pg_current_wal_flush_lsn(), false)::text as settled from pg_stat_replication");
        return row?.["settled"] === "true";
      },
      MOST_MS,
    );
  await settled();
  return {
    settled,
    name: "holdfast",
    version,
    repository: join(site.folder, "onsite"),
    backup: (kind) => run("backup", "--type", kind === "full" ? "full" : "incr"),
    restore: (target) => run("restore", "--to", "immediate", "--target", target),
    deltaRestore: (target) => run("restore", "--to", "immediate", "--target", target, "--delta"),
    verify: () => run("verify"),
    verifyStored: () => run("verify", "--tier", "stored"),
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}
