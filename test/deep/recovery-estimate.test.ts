import { expect, test } from "vitest";
import { median } from "../../src/domain/median.ts";
import { estimateRecovery } from "../../src/domain/recovery-estimate.ts";
import type { MeasuredRecovery } from "../../src/domain/recovery-estimate.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

interface Drilled {
  readonly verdict: string;
  readonly bytes: number;
  readonly walSegments: number;
  readonly rtoActualSeconds: number;
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
}

/** Rows of about a kilobyte that hardly shrink when they are packed. */
const ROWS_A_MEGABYTE = 900;
const SEGMENT_BYTES = 16 << 20;
const SMALL_MEGABYTES = [20, 30, 45, 60];
const LARGE_MEGABYTES = [380, 400, 420, 440, 460];

describePostgres("recovery time, as drills of a small cluster estimate it", { contrib: ["amcheck"] }, (binaries) => {
  test("is about that of drills ten times as large: within 30 % at the median, and four of five within the interval", async () => {
    await using cluster = await startCluster({ binaries, settings: { max_wal_size: "2GB" } });
    await using site = await openSite({ cluster });
    await cluster.sql("create table orders (id bigserial primary key, filler text)");
    let megabytes = 0;
    const growTo = async (wanted: number): Promise<void> => {
      const rows = (wanted - megabytes) * ROWS_A_MEGABYTE;
      await cluster.sql(`insert into orders (filler) select (select string_agg(md5(g::text || i), '') from generate_series(1, 32) i) from generate_series(1, ${rows}) g`);
      megabytes = wanted;
    };
    // The first of all also pays for what is compiled, read and cached once.
    await growTo(SMALL_MEGABYTES[0] ?? 0);
    await backedUpAndDrilled(site);
    const small: MeasuredRecovery[] = [];
    for (const size of SMALL_MEGABYTES) {
      await growTo(size);
      small.push(measuredIn(await backedUpAndDrilled(site)));
    }
    const ratios: number[] = [];
    const told: string[] = [];
    let within = 0;
    for (const size of LARGE_MEGABYTES) {
      await growTo(size);
      const drilled = await backedUpAndDrilled(site);
      const estimate = estimateRecovery(small, { ...drilled, segmentBytes: SEGMENT_BYTES });
      const { seconds = NaN, lowSeconds = NaN, highSeconds = NaN } = estimate ?? {};
      ratios.push(Math.abs(seconds / drilled.rtoActualSeconds - 1));
      if (lowSeconds <= drilled.rtoActualSeconds && drilled.rtoActualSeconds <= highSeconds) within++;
      told.push(`${size} MB: ${drilled.rtoActualSeconds.toFixed(1)} s, estimated ${seconds.toFixed(1)} (${lowSeconds.toFixed(1)} to ${highSeconds.toFixed(1)})`);
    }
    const figures = `${told.join("\n")}\nfrom ${JSON.stringify(small)}`;
    expect(median(ratios), figures).toBeLessThanOrEqual(0.3);
    expect(within, figures).toBeGreaterThanOrEqual(4);
  }, 900_000);
});

async function backedUpAndDrilled(site: Site): Promise<Drilled> {
  expect(await site.run("backup", "--type", "full")).toMatchObject({ exitCode: 0 });
  const outcome = await site.run("drill", "--json");
  const drilled = outcome.json<Drilled>();
  expect(drilled.verdict, outcome.stdout).toMatch(/^pass/);
  return drilled;
}

/** As it is read from the record of a drill. */
function measuredIn({ bytes, walSegments, rtoActualSeconds, phases }: Drilled): MeasuredRecovery {
  const secondsOf = (name: string): number => phases.find((phase) => phase.name === name)?.seconds ?? 0;
  const [restoreSeconds, recoverSeconds, checkSeconds] = [secondsOf("restore"), secondsOf("recover"), secondsOf("check")];
  return { bytes, walSegments, restoreSeconds, recoverSeconds, checkSeconds, otherSeconds: Math.max(0, rtoActualSeconds - restoreSeconds - recoverSeconds - checkSeconds) };
}
