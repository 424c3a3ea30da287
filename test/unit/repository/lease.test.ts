import { readdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../../src/clock.ts";
import { writeDocument } from "../../../src/repository/document.ts";
import { keys } from "../../../src/repository/layout.ts";
import { acquireLease, readLease } from "../../../src/repository/lease.ts";
import type { LeaseRequest } from "../../../src/repository/lease.ts";
import { thisProcess } from "../../../src/repository/process-holder.ts";
import type { Holder } from "../../../src/repository/process-holder.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";
import { withFaults } from "../../support/store-faults.ts";

const SCOPE = "db.backup";

/** Time that passes only in sleep, so that a minute of waiting is a moment; what happens meanwhile is the test's. */
class SteppedClock implements Clock {
  #ms = 0;
  slept = 0;
  readonly #meanwhile: (slept: number) => Promise<void>;

  constructor(meanwhile: (slept: number) => Promise<void> = async () => undefined) {
    this.#meanwhile = meanwhile;
  }
  now(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#ms);
  }
  monotonicMs(): number {
    return this.#ms;
  }
  async sleep(ms: number): Promise<void> {
    this.#ms += ms;
    await this.#meanwhile(++this.slept);
  }
}

function request(runId: string, more: Partial<LeaseRequest> = {}): LeaseRequest {
  return { scope: SCOPE, runId, clock: new SteppedClock(), ...more };
}

describe("a lease", () => {
  let fixture: RepositoryFixture;
  beforeEach(async () => {
    fixture = await openRepositoryFixture();
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const epochs = async (): Promise<number[]> => (await readdir(join(fixture.folder, "leases", SCOPE))).map((name) => Number.parseInt(name, 10)).toSorted((a, b) => a - b);

  async function writeHeld(epoch: number, holder: Holder, ttlSeconds = 60): Promise<void> {
    const repository = await fixture.open();
    const payload = { epoch, state: "held", holder, runId: "other", acquiredAt: "2026-01-01T00:00:00Z", ttlSeconds, position: null };
    await writeDocument(repository, keys.lease(SCOPE, epoch), "lease", payload, repository.signer);
  }

  test("of a run that is known to have ended is taken at once, and that of another run is not", async () => {
    const repository = await fixture.open();
    const abandoned = await acquireLease(repository, request("ended"));
    const clock = new SteppedClock();
    await using next = await acquireLease(repository, request("next", { clock, hasEnded: (run) => run === "ended" }));
    expect([next.epoch, clock.slept]).toEqual([abandoned.epoch + 1, 0]);
    await expect(acquireLease(repository, request("third", { hasEnded: (run) => run === "ended" }))).rejects.toMatchObject({ code: "HF-BUSY", facts: { runId: "next" } });
    // What the one that ended had still on its way comes too late.
    await abandoned.release().catch(() => undefined);
    expect(await readLease(repository, SCOPE)).toMatchObject({ runId: "next", state: "held" });
  });

  test("is refused to a second process while the first lives, and the error names its run", async () => {
    const repository = await fixture.open();
    await using first = await acquireLease(repository, request("first"));
    await expect(acquireLease(await fixture.open("two"), request("second"))).rejects.toMatchObject({ code: "HF-BUSY", facts: { runId: "first" } });
    await first.assertHeld();
  });

  test("of this very process that nobody in it renews is over after its time to live, for who waits for his own; one that is renewed is refused as soon as that is seen", async () => {
    const repository = await fixture.open();
    await writeHeld(1, thisProcess(hostname()));
    const clock = new SteppedClock();
    const lease = await acquireLease(repository, request("next", { clock, wait: "own" }));
    expect([lease.epoch, clock.monotonicMs()]).toEqual([2, 60_000]);
    const renewing = new SteppedClock(async (slept) => (slept === 5 ? lease.note({ systemIdentifier: "7", timeline: 1, lsn: "0/1", coveredUntil: null }) : undefined));
    await expect(acquireLease(repository, request("third", { clock: renewing, wait: "own" }))).rejects.toMatchObject({ code: "HF-BUSY", facts: { runId: "next" } });
    expect(renewing.slept).toBe(5);
    await lease.release();
  });

  test("of another process is refused at once to who waits for his own", async () => {
    await writeHeld(1, { ...thisProcess(hostname()), pid: 1, startTicks: null });
    const clock = new SteppedClock();
    await expect(acquireLease(await fixture.open(), request("next", { clock, wait: "own" }))).rejects.toMatchObject({ code: "HF-BUSY" });
    expect(clock.slept).toBe(0);
  });

  test("is free after it was released, and leaves one object behind however often it changed hands", async () => {
    const repository = await fixture.open();
    for (const run of ["a", "b", "c"]) {
      const lease = await acquireLease(repository, request(run));
      await lease.note({ systemIdentifier: "1", timeline: 1, lsn: "0/3000000", coveredUntil: null });
      await lease.release();
    }
    expect(await epochs()).toHaveLength(1);
    expect(await readLease(repository, SCOPE)).toMatchObject({ state: "released", position: { lsn: "0/3000000" } });
  });

  test("of a process of this machine that is dead is taken over at once", async () => {
    await writeHeld(7, { ...thisProcess(hostname()), pid: 2 ** 22 + 1 });
    await using lease = await acquireLease(await fixture.open(), request("next"));
    expect(lease.epoch).toBe(8);
  });

  test("of a process whose id another process has now is taken over too", async () => {
    await writeHeld(1, { ...thisProcess(hostname()), startTicks: "1" });
    await using lease = await acquireLease(await fixture.open(), request("next"));
    expect(lease.epoch).toBe(2);
  });

  test("of another machine is believed for its whole time to live, by the observer's own clock, and not longer", async () => {
    await writeHeld(3, { ...thisProcess("elsewhere"), bootId: "another boot" }, 60);
    const clock = new SteppedClock();
    await using lease = await acquireLease(await fixture.open(), request("next", { wait: true, clock }));
    expect(lease.epoch).toBe(4);
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(60_000);
    expect(clock.monotonicMs()).toBeLessThan(62_000);
  });

  test("is waited for again from the beginning when its holder renews it", async () => {
    await writeHeld(1, { ...thisProcess("elsewhere"), bootId: "another boot" }, 60);
    const clock = new SteppedClock(async (slept) => {
      if (slept === 50) await writeHeld(2, { ...thisProcess("elsewhere"), bootId: "another boot" }, 60);
    });
    await using lease = await acquireLease(await fixture.open(), request("next", { wait: true, clock }));
    expect(lease.epoch).toBe(3);
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(110_000);
  });

  test("that was renewed several times while somebody waited is taken at its newest epoch, and held", async () => {
    const repository = await fixture.open();
    const holder = await acquireLease(repository, request("holder"));
    const clock = new SteppedClock(async (slept) => {
      if (slept <= 3) await holder.note({ systemIdentifier: "1", timeline: 1, lsn: `0/${slept}000000`, coveredUntil: null });
      if (slept === 4) await holder.release();
    });
    await using lease = await acquireLease(await fixture.open("two"), request("waiter", { wait: true, clock }));
    await lease.assertHeld();
    expect(await readLease(await fixture.open(), SCOPE)).toMatchObject({ runId: "waiter", state: "held", position: { lsn: "0/3000000" } });
  });

  test("cannot be taken at an epoch that is over: one that looked long ago does not get a second lease beside the first", async () => {
    const repository = await fixture.open();
    await (await acquireLease(repository, request("before"))).release();
    const held: Awaited<ReturnType<typeof acquireLease>>[] = [];
    using faulty = withFaults(fixture.store);
    const late = await fixture.open("two", faulty.store);
    const winner = await fixture.open();
    // Between its look and its write another process takes the lease and renews it twice: the epoch it is about to write is free again.
    faulty.queue(
      "create",
      {
        meanwhile: async () => {
          const lease = await acquireLease(winner, request("winner"));
          for (const lsn of ["0/1", "0/2"]) await lease.note({ systemIdentifier: "1", timeline: 1, lsn, coveredUntil: null });
          held.push(lease);
        },
      },
      (key) => key.startsWith("leases/"),
    );
    await expect(acquireLease(late, request("loser"))).rejects.toMatchObject({ code: "HF-BUSY", facts: { runId: "winner" } });
    await held[0]?.assertHeld();
    await held[0]?.note({ systemIdentifier: "1", timeline: 1, lsn: "0/3", coveredUntil: null });
    await held[0]?.assertHeld();
    await held[0]?.release();
  });

  test("goes to exactly one of many that want it at once", async () => {
    // Opened twice: a host knows of those that were admitted before it looked.
    for (let i = 0; i < 8; i++) await fixture.open(`host-${i}`);
    const repositories = await Promise.all(Array.from({ length: 8 }, async (_, i) => fixture.open(`host-${i}`)));
    const results = await Promise.allSettled(repositories.map(async (repository, i) => acquireLease(repository, request(`run-${i}`))));
    const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.assertHeld();
    await won[0]?.release();
  });

  test("is lost when another process took it: its holder hears of it and may make nothing visible", async () => {
    const repository = await fixture.open();
    const lease = await acquireLease(repository, request("first"));
    await writeHeld(lease.epoch + 1, { ...thisProcess("elsewhere"), bootId: "another boot" });
    await expect(lease.assertHeld()).rejects.toMatchObject({ code: "HF-BUSY" });
    await lease.note({ systemIdentifier: "1", timeline: 1, lsn: "0/1", coveredUntil: null });
    expect(lease.lost.aborted).toBe(true);
    await lease.release();
    expect(await readLease(repository, SCOPE)).toMatchObject({ runId: "other", state: "held" });
  });
});
