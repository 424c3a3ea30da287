import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { planRestore } from "../../src/operations/restore/plan-restore.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";

describePostgres("a source that was promoted", {}, (binaries) => {
  test("has the history of its timeline in every copy of a backup", async () => {
    await using source = await startCluster({ binaries });
    await source.stop();
    await writeFile(join(source.dataDirectory, "standby.signal"), "");
    await source.start();
    await source.promote();
    await using onsite = await openRepositoryFixture();
    await using cloud = await openRepositoryFixture();
    const repositories = [await onsite.open(), await cloud.open()];
    const context = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
    const target = { name: "db", url: source.url(), dataDirectory: null };
    const result = await backUp({ source: target, type: "full", repositories, logRepositories: [], runId: "test", compressionLevel: 1 }, context);
    expect(result.copies.map(({ error }) => error)).toEqual([null, null]);
    for (const fixture of [onsite, cloud]) {
      const view = await CopyView.open(await fixture.open(), "db");
      if (view === null) throw new Error("nothing was backed up");
      expect([...view.histories.keys()]).toEqual([2]);
      const plan = await planRestore(view, { target: { kind: "latest" }, backup: null, timeline: "latest", exclusive: false, acceptGap: false });
      expect(plan.resolved.timeline).toBe(2);
    }
  });
});
