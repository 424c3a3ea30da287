import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { UnderWay } from "../../src/under-way.ts";

test("what is under way has ended, well or not, when it is disposed of; what failed says so to whoever began it", async () => {
  const ended: string[] = [];
  const work = async (name: string, ms: number): Promise<string> => {
    await sleep(ms);
    ended.push(name);
    if (name === "bad") throw new Error("bad");
    return name;
  };
  const outcome = (async () => {
    await using underWay = new UnderWay();
    void underWay.note(work("slow", 60));
    underWay.note(work("bad", 30)).catch(() => undefined);
    expect(await underWay.note(work("quick", 1))).toBe("quick");
    await underWay.note(work("bad", 5));
  })();
  await expect(outcome).rejects.toThrow("bad");
  expect(ended).toEqual(["quick", "bad", "bad", "slow"]);
});

test("nothing under way is nothing to wait for", async () => {
  await new UnderWay()[Symbol.asyncDispose]();
});
