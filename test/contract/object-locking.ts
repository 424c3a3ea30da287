import { beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { ObjectMissing, putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const LARGE_BYTES = 20 << 20;
const text = (value: string): Buffer => Buffer.from(value);

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}

/** What a store promises that can lock objects, and that one that cannot says so. */
export function describeLocking(tried: () => StoreUnderTest): void {
  describe("locking", () => {
    let under: StoreUnderTest;
    let store: ObjectStore;
    beforeEach(() => {
      under = tried();
      ({ store } = under);
    });
    const soon = (ms: number): Date => new Date(Date.now() + ms);
    const putLocked = async (key: string, until: Date, bytes = text(key)): Promise<void> => {
      const writer = await store.create(key, { lockUntil: until });
      await writer.write(bytes);
      expect(await writer.commit()).toBe("created");
    };

    test("is refused where the store has no locks, and is there where it has", async () => {
      if (store.lock === null) await expect(store.create("k", { lockUntil: soon(1000) })).rejects.toMatchObject({ code: "HF-BUG" });
      else await store.lock.assertEnforced();
    });

    test("what is locked stays, small and large, and is named; what is not goes", async () => {
      const { lock } = store;
      if (lock === null) return;
      const until = soon(4000);
      await putLocked("l/small", until);
      await putLocked("l/large", until, Buffer.alloc(LARGE_BYTES, 7));
      await putIfAbsent(store, "l/free", text("free"));
      for (const key of ["l/small", "l/large"]) expect(Math.abs(((await lock.lockedUntil(key))?.getTime() ?? 0) - until.getTime())).toBeLessThan(1000);
      expect(await lock.lockedUntil("l/free")).toBeNull();
      await expect(lock.lockedUntil("l/none")).rejects.toBeInstanceOf(ObjectMissing);
      const locked = await store.remove(["l/small", "l/free", "l/large", "l/none"]);
      expect(locked.map(({ key }) => key).toSorted()).toEqual(["l/large", "l/small"]);
      expect(await keysOf(store, "l/")).toEqual(["l/large", "l/small"]);
      expect(await store.listNames("l/")).toEqual(["large", "small"]);
      expect((await store.read("l/large")).equals(Buffer.alloc(LARGE_BYTES, 7))).toBe(true);
      expect(await putIfAbsent(store, "l/small", text("another"))).toBe("exists");
      await systemClock.sleep(Math.max(0, until.getTime() - Date.now()) + 500);
      expect(await store.remove(["l/small", "l/large"])).toEqual([]);
      expect(await under.leftovers()).toEqual([]);
    });

    test("a lock is made longer, never shorter", async () => {
      const { lock } = store;
      if (lock === null) return;
      await putLocked("e/a", soon(2000));
      await putIfAbsent(store, "e/b", text("free"));
      const longer = soon(5000);
      await lock.extend(["e/a", "e/b", "e/none"], longer);
      await lock.extend(["e/a", "e/b"], soon(1500));
      for (const key of ["e/a", "e/b"]) expect(Math.abs(((await lock.lockedUntil(key))?.getTime() ?? 0) - longer.getTime())).toBeLessThan(1000);
      await systemClock.sleep(Math.max(0, longer.getTime() - Date.now()) + 500);
      expect(await store.remove(["e/a", "e/b"])).toEqual([]);
    });

    test("what somebody deletes or overwrites is still there, as versions, and goes whole with its key", async () => {
      const { lock, versions } = store;
      const { stranger } = under;
      if (lock === null || versions === null || stranger === undefined) return;
      await putLocked("v/hidden", soon(2000));
      await stranger.hide("v/hidden");
      expect((await store.read("v/hidden")).toString()).toBe("v/hidden");
      expect((await store.readRange("v/hidden", 2, 3)).toString()).toBe("hid");
      expect((await store.readTail("v/hidden", 3)).bytes.toString()).toBe("den");
      expect(await store.size("v/hidden")).toBe(8);
      expect(await keysOf(store, "v/")).toEqual(["v/hidden"]);
      expect(await store.listNames("v/")).toEqual(["hidden"]);
      await putLocked("v/over", soon(2000));
      await stranger.overwrite("v/over", text("evil"));
      const found: { key: string; isMarker: boolean; content: string | null }[] = [];
      for await (const { key, isMarker, version } of versions.list("v/"))
        found.push({ key, isMarker, content: isMarker ? null : (await versions.at(version).readTail(key, 100)).bytes.toString() });
      expect(found.toSorted((a, b) => (`${a.key}${a.content}` < `${b.key}${b.content}` ? -1 : 1))).toEqual(
        [
          { key: "v/hidden", isMarker: true, content: null },
          { key: "v/hidden", isMarker: false, content: "v/hidden" },
          { key: "v/over", isMarker: false, content: "evil" },
          { key: "v/over", isMarker: false, content: "v/over" },
        ].toSorted((a, b) => (`${a.key}${a.content}` < `${b.key}${b.content}` ? -1 : 1)),
      );
      await systemClock.sleep(2500);
      expect(await store.remove(["v/hidden", "v/over"])).toEqual([]);
      for await (const left of versions.list("v/")) expect(left).toBeNull();
      expect(await putIfAbsent(store, "v/over", text("again"))).toBe("created");
    });
  });
}
