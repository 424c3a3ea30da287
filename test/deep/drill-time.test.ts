import { expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import { systemClock } from "../../src/clock.ts";
import { must } from "../../src/errors.ts";
import { runDrill } from "../../src/operations/drill/run-drill.ts";
import { BY_HAND } from "../../src/operations/record-run.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSite } from "../support/site.ts";

describePostgres("the recovery time of a drill", { atLeast: 17, contrib: ["amcheck"] }, (binaries) => {
  test("is what a stopwatch shows that somebody else holds, from when it begins until it begins to clean up", async () => {
    await using cluster = await startCluster({ binaries });
    await using site = await openSite({ cluster });
    await cluster.sql("create table orders as select g as id, repeat('x', 200) as filler from generate_series(1, 100000) g");
    await cluster.sql("create index orders_id on orders (id)");
    expect((await site.run("backup", "db", "--type", "full")).exitCode).toBe(0);
    process.env["SITE_KEY"] = site.key;
    process.env["SITE_URL"] = cluster.url();
    await using app = await openApp({ config: site.inventory, clock: systemClock, onNotice: () => undefined });
    const source = must(app.inventory.sources.get("db"), "the source");
    let [from, to] = [0, 0];
    // Not the clock that the drill reads.
    const onProgress = ({ phase }: { phase: string }): void => {
      if (phase === "plan") from = Date.now();
      if (phase === "clean up") to = Date.now();
    };
    const context = { clock: systemClock, signal: new AbortController().signal, onProgress, onNotice: () => undefined };
    const result = await runDrill(app, { ...BY_HAND, source, select: "latest", to: null, repository: null, keep: false }, context);
    expect(result).toMatchObject({ verdict: "pass" });
    const stopwatch = (to - from) / 1000;
    const actual = must(result.rtoActualSeconds ?? undefined, "a recovery time");
    expect(actual).toBeGreaterThan(0.2);
    expect(Math.abs(actual - stopwatch)).toBeLessThanOrEqual(Math.max(0.5, 0.02 * stopwatch));
    // Its phases are all of it, and cleaning up is none of it.
    const phases = result.phases.filter(({ name }) => name !== "clean up").reduce((sum, { seconds }) => sum + seconds, 0);
    expect(Math.abs(actual - phases)).toBeLessThanOrEqual(Math.max(0.5, 0.02 * stopwatch));
  });
});
