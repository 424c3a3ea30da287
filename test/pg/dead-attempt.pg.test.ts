import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { nextBackupId } from "../../src/domain/backup-id.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import { declareIntent } from "../../src/repository/attempts.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";

describePostgres("a backup that begins in the second in which another died", {}, (binaries) => {
  test("does not take its id, which was given up for ever", async () => {
    await using source = await startCluster({ binaries });
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    const second = systemClock.now();
    const dead = nextBackupId(second, "full", []);
    await declareIntent(repository, "db", { backup: dead, ancestors: [], startedAt: second.toISOString(), runId: "dead" });
    const context = { clock: { ...systemClock, now: () => second }, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
    const target = { name: "db", url: source.url(), dataDirectory: null };
    const result = await backUp({ source: target, type: "full", repositories: [repository], logRepositories: [], runId: "next", compressionLevel: 1 }, context);
    expect(result.copies.map(({ error }) => error)).toEqual([null]);
    expect(result.id > dead).toBe(true);
  });
});
