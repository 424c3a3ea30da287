import type { SourceInfo } from "../../src/domain/source-info.ts";
import { eventually } from "./restored.ts";
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
