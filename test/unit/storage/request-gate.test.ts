import { expect, test } from "vitest";
import { RequestGate } from "../../../src/storage/request-gate.ts";

const LIMITS = { least: 2, first: 4, most: 16 };

/** A store in simulated time: answers after `latencyMs`, and refuses what goes beyond `bears` at once. */
class Simulation {
  now = 0;
  readonly gate = new RequestGate(LIMITS, { monotonicMs: () => this.now });
  readonly #due: { readonly at: number; readonly done: () => void }[] = [];
  running = 0;
  most = 0;
  refusals = 0;
  latencyMs = 50;
  bears = Infinity;

  async play(requests: number): Promise<number> {
    const begun = this.now;
    this.most = 0;
    let left = requests;
    const sent = Array.from({ length: requests }, async () => {
      await this.gate.run(async () => this.#request());
      left--;
    });
    while (left > 0) {
      // Those that may enter do so first.
      for (let i = 0; i < 20; i++) await Promise.resolve();
      const next = this.#due.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) continue;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.now = next.at;
      next.done();
    }
    await Promise.all(sent);
    return this.now - begun;
  }

  async #request(): Promise<void> {
    const sentMs = this.now;
    this.running++;
    this.most = Math.max(this.most, this.running);
    if (this.running > this.bears) {
      this.refusals++;
      this.gate.refused(sentMs);
    }
    await new Promise<void>((done) => {
      this.#due.push({ at: this.now + this.latencyMs, done });
    });
    this.running--;
  }
}

test("more are sent at once while all places are taken and answers stay as quick, up to the most", async () => {
  const simulation = new Simulation();
  await simulation.play(20);
  expect(simulation.most).toBeLessThan(LIMITS.most);
  await simulation.play(2000);
  expect(simulation.most).toBe(LIMITS.most);
  // Sixteen at once at 50 ms each.
  expect(await simulation.play(1600)).toBe(5000);
});

test("a store that says it is too much gets half as many, never fewer than the least, and is soon tried with more again", async () => {
  const simulation = new Simulation();
  simulation.bears = 6;
  await simulation.play(3000);
  expect(simulation.refusals).toBeGreaterThan(0);
  expect(simulation.refusals).toBeLessThan(300);
  expect(simulation.most).toBeLessThanOrEqual(7);
  simulation.bears = 0;
  await simulation.play(100);
  expect(simulation.gate.limit).toBe(LIMITS.least);
  simulation.bears = Infinity;
  await simulation.play(2000);
  expect(simulation.gate.limit).toBe(LIMITS.most);
});

test("refusals of requests that were under way together count once", () => {
  let now = 0;
  const gate = new RequestGate({ least: 1, first: 8, most: 8 }, { monotonicMs: () => now });
  now = 100;
  for (let i = 0; i < 5; i++) gate.refused(90);
  expect(gate.limit).toBe(4);
  now = 200;
  gate.refused(150);
  expect(gate.limit).toBe(2);
});

test("where answers take ever longer, no more are sent at once", async () => {
  const simulation = new Simulation();
  await simulation.play(4);
  simulation.latencyMs = 500;
  await simulation.play(40);
  expect(simulation.gate.limit).toBe(LIMITS.first);
});

test("a request that fails gives its place back", async () => {
  const gate = new RequestGate({ least: 1, first: 1, most: 1 }, { monotonicMs: () => 0 });
  const failing = gate.run(async () => {
    throw new Error("lost");
  });
  await expect(failing).rejects.toThrow("lost");
  expect(await gate.run(async () => "next")).toBe("next");
});
