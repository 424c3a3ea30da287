import { parseLsn } from "../../src/domain/lsn.ts";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import { eventually } from "./restored.ts";
import type { Cluster } from "./running-cluster.ts";
import type { Site } from "./site.ts";

/** What `info` says of the source of a site. `env`: as for `runWith`; `which`: options that say where to look. */
export async function infoOf(site: Site, env: Readonly<Record<string, string>> = {}, ...which: string[]): Promise<SourceInfo> {
  return (await site.runWith(env, "info", ...which, "--json")).json<{ sources: [SourceInfo] }>().sources[0];
}

/** Waits until the log is being streamed. */
export async function untilStreaming(site: Site): Promise<void> {
  await eventually("it streams", async () => (await site.run("wal", "status", "--json")).json<{ copies: { streaming: boolean }[] }>().copies[0]?.streaming === true);
}

/** Waits until everything that the source wrote is durable in the repository. */
export async function untilDurable(site: Site): Promise<void> {
  await eventually("everything is durable", async () => (await infoOf(site)).exposure[0]?.seconds === 0);
}

const SLOWEST_COPY_MS = 120_000;

/** Waits until every copy of a site holds all that the source wrote, where there is more than one: those behind the first get whole segments only. */
export async function untilInEachCopy(site: Site, source: Cluster): Promise<void> {
  if (site.copies.length < 2) return;
  const [row] = await source.sql("select pg_switch_wal() as lsn");
  const written = parseLsn(row?.["lsn"] ?? "");
  await eventually(
    "each copy holds what was written",
    async () => {
      const ends = (await infoOf(site)).windows.map(({ endLsn }) => parseLsn(endLsn));
      return ends.length === site.copies.length && ends.every((end) => end >= written);
    },
    SLOWEST_COPY_MS,
  );
}
