import { chown, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { measure } from "./measure.ts";
import { LEVEL } from "./tools.ts";
import type { Tool, ToolSetup } from "./tools.ts";

/** PostgreSQL's own pg_basebackup: tar, compressed by itself (one thread), no encryption. Incremental and combined from 17 on, which needs plain format. */
export async function openBasebackup({ cluster, folder }: ToolSetup): Promise<Tool> {
  const { owner } = cluster.place;
  const { directory, major, version } = cluster.binaries;
  await mkdir(folder, { recursive: true });
  await chown(folder, owner.uid, owner.gid);
  const chain: string[] = [];
  const run = (program: string, args: readonly string[]): ReturnType<typeof measure> => measure({ file: join(directory, program), args, as: owner, cwd: folder });
  const format = major >= 17 ? ["-Fp"] : ["-Ft", major >= 15 ? `--compress=client-zstd:level=${LEVEL}` : "-z"];
  return {
    name: major >= 17 ? "pg_basebackup (plain)" : "pg_basebackup (tar, zstd)",
    version,
    repository: folder,
    backup: async (kind) => {
      const parent = chain.at(-1);
      const isIncremental = kind === "incremental" && major >= 17 && parent !== undefined;
      if (!isIncremental) for (const old of chain.splice(0)) await rm(old, { recursive: true });
      const target = join(folder, `b${Math.round(performance.now())}`);
      chain.push(target);
      const base = isIncremental ? [`--incremental=${join(parent, "backup_manifest")}`] : [];
      return run("pg_basebackup", ["-h", "127.0.0.1", "-p", String(cluster.port), "-U", "postgres", "-D", target, "-c", "fast", "-X", "stream", ...format, ...base]);
    },
    restore: major >= 17 ? (target) => run("pg_combinebackup", ["-o", target, ...chain]) : null,
    deltaRestore: null,
    verify: major >= 17 ? () => run("pg_verifybackup", ["-n", chain.at(-1) ?? ""]) : null,
    verifyStored: null,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
