import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ObjectMissing, ObjectTruncated, putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectInfo, ObjectStore } from "../../src/storage/object-store.ts";
import { describeLocking } from "./object-locking.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Of several parts, where a store writes in parts. */
const LARGE_BYTES = 20 << 20;

const text = (value: string): Buffer => Buffer.from(value);

async function listAll(store: ObjectStore, prefix: string): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) found.push(info);
  return found;
}

const keysOf = async (store: ObjectStore, prefix: string): Promise<string[]> => (await listAll(store, prefix)).map(({ key }) => key);

/** What every object store promises (src/storage/object-store.ts), tried on one of them. */
export function describeObjectStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let under: StoreUnderTest;
    let store: ObjectStore;
    beforeEach(async () => {
      under = await open();
      ({ store } = under);
    });
    afterEach(async () => under[Symbol.asyncDispose]());

    describe("writing", () => {
      test("what was written is read back, in pieces of any size", async () => {
        const writer = await store.create("a/b/c");
        for (const piece of ["one", "", "two", "x".repeat(300_000)]) await writer.write(text(piece));
        expect(await writer.commit()).toBe("created");
        expect((await store.read("a/b/c")).equals(text(`onetwo${"x".repeat(300_000)}`))).toBe(true);
      });

      test("an object may be empty", async () => {
        expect(await putIfAbsent(store, "empty", Buffer.alloc(0))).toBe("created");
        expect((await store.read("empty")).length).toBe(0);
        expect(await store.size("empty")).toBe(0);
        expect(await store.readTail("empty", 10)).toEqual({ bytes: Buffer.alloc(0), size: 0 });
      });

      test("a taken key stays as it is, and the writer is told", async () => {
        expect(await putIfAbsent(store, "k/one", text("first"))).toBe("created");
        expect(await putIfAbsent(store, "k/one", text("second, longer"))).toBe("exists");
        expect((await store.read("k/one")).toString()).toBe("first");
        expect(await under.leftovers()).toEqual(["k/one"]);
      });

      test("nothing is visible before the commit", async () => {
        const writer = await store.create("half/object");
        await writer.write(text("half"));
        expect(await store.size("half/object")).toBeNull();
        await expect(store.read("half/object")).rejects.toBeInstanceOf(ObjectMissing);
        expect(await keysOf(store, "")).toEqual([]);
        expect(await store.listNames("half/")).toEqual([]);
        expect(await writer.commit()).toBe("created");
        expect(await keysOf(store, "")).toEqual(["half/object"]);
      });

      test("an aborted write leaves nothing, and abort may come again, also after a commit", async () => {
        const writer = await store.create("gone/object");
        await writer.write(Buffer.alloc(under.unfinishedBytes));
        await writer.abort();
        await writer.abort();
        expect(await keysOf(store, "")).toEqual([]);
        expect((await under.leftovers()).filter((file) => !file.endsWith("/"))).toEqual([]);
        const kept = await store.create("kept/object");
        await kept.write(text("kept"));
        await kept.commit();
        await kept.abort();
        expect((await store.read("kept/object")).toString()).toBe("kept");
      });

      test("of twenty writers of one key at once exactly one creates it, and its content is whole", async () => {
        for (let round = 0; round < 10; round++) {
          const key = `race/${round}`;
          const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => putIfAbsent(store, key, Buffer.alloc(50_000, i + 1))));
          expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
          const content = await store.read(key);
          expect(content.length).toBe(50_000);
          expect(content.every((byte) => byte === content[0])).toBe(true);
          expect(content[0]).toBe(outcomes.indexOf("created") + 1);
        }
        expect((await under.leftovers()).every((file) => /^race\/\d$/.test(file))).toBe(true);
      });

      test("a large object is whole, also where its pieces meet, and its key is taken like any other", async () => {
        const bytes = Buffer.alloc(LARGE_BYTES);
        for (let at = 0; at < LARGE_BYTES; at += 4) bytes.writeUInt32LE(at, at);
        const writer = await store.create("large/object");
        for (let at = 0; at < LARGE_BYTES; at += 700_001) await writer.write(bytes.subarray(at, at + 700_001));
        expect(await writer.commit()).toBe("created");
        expect(await listAll(store, "")).toEqual([{ key: "large/object", size: LARGE_BYTES }]);
        expect((await store.read("large/object")).equals(bytes)).toBe(true);
        const middle = LARGE_BYTES / 2;
        expect((await store.readRange("large/object", middle - 1000, 2000)).equals(bytes.subarray(middle - 1000, middle + 1000))).toBe(true);
        const tail = await store.readTail("large/object", 5000);
        expect([tail.size, tail.bytes.equals(bytes.subarray(-5000))]).toEqual([LARGE_BYTES, true]);
        expect(await putIfAbsent(store, "large/object", Buffer.alloc(LARGE_BYTES))).toBe("exists");
        expect(await putIfAbsent(store, "large/object", text("small"))).toBe("exists");
        expect((await store.read("large/object")).equals(bytes)).toBe(true);
        expect(await under.leftovers()).toEqual(["large/object"]);
      });

      test("of four writers of one large object at once exactly one creates it, and nothing is left of the others", async () => {
        const outcomes = await Promise.all(Array.from({ length: 4 }, (_, i) => putIfAbsent(store, "large/race", Buffer.alloc(LARGE_BYTES, i + 1))));
        expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
        const winner = outcomes.indexOf("created") + 1;
        expect((await store.read("large/race")).equals(Buffer.alloc(LARGE_BYTES, winner))).toBe(true);
        expect(await under.leftovers()).toEqual(["large/race"]);
      });

      test("memory that was written may be used again at once", async () => {
        const writer = await store.create("reused");
        const memory = Buffer.alloc(1 << 20);
        for (let i = 0; i < 20; i++) await writer.write(memory.fill(i));
        await writer.commit();
        const read = await store.read("reused");
        for (let i = 0; i < 20; i++) expect(read.subarray(i << 20, (i + 1) << 20).equals(Buffer.alloc(1 << 20, i))).toBe(true);
      });

      test.each([
        ["leads out of the store", "../x"],
        ["leads out from inside", "a/../../x"],
        ["is absolute", "/x"],
        ["has an empty segment", "a//b"],
        ["ends in a slash", "a/"],
        ["begins with a dot", ".hidden"],
        ["has a segment that begins with a dot", "a/.hidden/b"],
        ["is empty", ""],
        ["has a NUL", "a\0b"],
        ["has a backslash", "a\\b"],
        ["has a space", "a b"],
        ["is not ASCII", "ä"],
        ["has a segment that is too long", "a".repeat(201)],
        ["is too long", Array.from({ length: 10 }, () => "a".repeat(100)).join("/")],
      ])("a key that %s is refused by every method", async (_, key) => {
        await putIfAbsent(store, "a/b", text("here"));
        const refused = { code: "HF-BUG" };
        await expect(store.create(key)).rejects.toMatchObject(refused);
        await expect(store.read(key)).rejects.toMatchObject(refused);
        await expect(store.readRange(key, 0, 1)).rejects.toMatchObject(refused);
        await expect(store.readTail(key, 1)).rejects.toMatchObject(refused);
        await expect(store.size(key)).rejects.toMatchObject(refused);
        await expect(store.remove(["a/b", key])).rejects.toMatchObject(refused);
        expect((await store.read("a/b")).toString()).toBe("here");
      });
    });

    describe("reading", () => {
      beforeEach(async () => void (await putIfAbsent(store, "digits/of", text("0123456789"))));

      test("ranges are exact", async () => {
        expect((await store.readRange("digits/of", 0, 10)).toString()).toBe("0123456789");
        expect((await store.readRange("digits/of", 3, 4)).toString()).toBe("3456");
        expect((await store.readRange("digits/of", 9, 1)).toString()).toBe("9");
        expect((await store.readRange("digits/of", 4, 0)).length).toBe(0);
      });

      test("a range beyond the end is told from a missing object", async () => {
        await expect(store.readRange("digits/of", 5, 6)).rejects.toBeInstanceOf(ObjectTruncated);
        await expect(store.readRange("digits/of", 10, 1)).rejects.toBeInstanceOf(ObjectTruncated);
        await expect(store.readRange("digits/of", 1e6, 1)).rejects.toMatchObject({ name: "ObjectTruncated", key: "digits/of" });
      });

      test("tails are the last bytes with the size, or all there is", async () => {
        expect(await store.readTail("digits/of", 3)).toEqual({ bytes: text("789"), size: 10 });
        expect(await store.readTail("digits/of", 10)).toEqual({ bytes: text("0123456789"), size: 10 });
        expect(await store.readTail("digits/of", 1000)).toEqual({ bytes: text("0123456789"), size: 10 });
        expect(await store.readTail("digits/of", 0)).toEqual({ bytes: Buffer.alloc(0), size: 10 });
      });

      test.each(["nowhere", "digits/other", "digits/of/deeper", "digits"])("%s is missing, however it is asked for", async (key) => {
        await expect(store.read(key)).rejects.toMatchObject({ name: "ObjectMissing", key });
        await expect(store.readRange(key, 0, 1)).rejects.toBeInstanceOf(ObjectMissing);
        await expect(store.readTail(key, 1)).rejects.toBeInstanceOf(ObjectMissing);
        expect(await store.size(key)).toBeNull();
      });
    });

    describe("listing", () => {
      // As bytes: "-" < "." < "/" < digits < capitals < small letters. A folder sorts as its name with a slash.
      const KEYS = ["a+b", "a-b/c", "a.b", "a/1", "a/10", "a/2/x", "a/B", "a/b", "a0", "aa/x", "b"];
      beforeEach(async () => {
        for (const key of KEYS.toReversed()) await putIfAbsent(store, key, text(key));
      });

      test("everything comes in bytewise order of whole keys, with sizes", async () => {
        const sorted = KEYS.toSorted((a, b) => Buffer.compare(text(a), text(b)));
        expect(await listAll(store, "")).toEqual(sorted.map((key) => ({ key, size: key.length })));
      });

      test.each(["a", "a/", "a/1", "a-", "aa", "a/2", "a/2/", "b", "c", "a/2/x", "a/2/xy", "nowhere/at/all"])("a prefix may end anywhere: %s", async (prefix) => {
        const expected = KEYS.filter((key) => key.startsWith(prefix)).toSorted((a, b) => Buffer.compare(text(a), text(b)));
        expect(await keysOf(store, prefix)).toEqual(expected);
      });

      test("names are one level deep: objects, and folders with a slash, in order", async () => {
        expect(await store.listNames("")).toEqual(["a+b", "a-b/", "a.b", "a/", "a0", "aa/", "b"]);
        expect(await store.listNames("a/")).toEqual(["1", "10", "2/", "B", "b"]);
        expect(await store.listNames("a/2/")).toEqual(["x"]);
        expect(await store.listNames("nowhere/")).toEqual([]);
        expect(await store.listNames("b/")).toEqual([]);
      });

      test("names behind one, whether it is there or not", async () => {
        expect(await store.listNames("a/", "10")).toEqual(["2/", "B", "b"]);
        expect(await store.listNames("a/", "A")).toEqual(["B", "b"]);
        expect(await store.listNames("a/", "b")).toEqual([]);
        expect(await store.listNames("", "a.b")).toEqual(["a/", "a0", "aa/", "b"]);
        expect(await store.listNames("", "a/")).toEqual(["a0", "aa/", "b"]);
      });
    });

    describe("removing", () => {
      test("removes what is there, minds nothing that is not, and leaves no empty folders", async () => {
        for (const key of ["x/1/a", "x/1/b", "x/2/a", "y"]) await putIfAbsent(store, key, text(key));
        await store.remove(["x/1/a", "x/1/a", "x/nothing", "nowhere/at/all"]);
        expect(await keysOf(store, "")).toEqual(["x/1/b", "x/2/a", "y"]);
        await store.remove(["x/1/b"]);
        expect(await under.leftovers()).toEqual(["x/2/a", "y"]);
        await store.remove(["x/2/a", "y"]);
        await store.remove(["x/2/a", "y"]);
        expect(await under.leftovers()).toEqual([]);
        expect(await store.size("y")).toBeNull();
        await store.remove([]);
      });

      test("a key is free again once its object was removed", async () => {
        await putIfAbsent(store, "again/k", text("one"));
        await store.remove(["again/k"]);
        expect(await putIfAbsent(store, "again/k", text("two"))).toBe("created");
        expect((await store.read("again/k")).toString()).toBe("two");
      });

      test("writers and removers in one folder never fail, and nothing is lost", async () => {
        const churn = async (worker: number): Promise<void> => {
          for (let i = 0; i < 60; i++) {
            const key = `churn/deep/folder/${worker}-${i}`;
            expect(await putIfAbsent(store, key, text(key))).toBe("created");
            expect((await store.read(key)).toString()).toBe(key);
            await store.remove([key, `churn/deep/folder/${(worker + 1) % 6}-never`]);
          }
        };
        await Promise.all(Array.from({ length: 6 }, (_, worker) => churn(worker)));
        expect(await under.leftovers()).toEqual([]);
      });
    });

    describe("sweeping", () => {
      const FUTURE = new Date("2200-01-01T00:00:00Z");

      test("clears unfinished writes below a prefix that are older than a moment, and no objects", async () => {
        await putIfAbsent(store, "s/kept", text("kept"));
        for (const key of ["s/one", "s/deep/two", "other/three"]) await (await store.create(key)).write(Buffer.alloc(under.unfinishedBytes));
        expect(await store.sweep("s/", new Date(0))).toBe(0);
        expect(await store.sweep("s/", FUTURE)).toBe(2);
        expect((await under.leftovers()).filter((file) => !file.startsWith("other/"))).toEqual(["s/kept"]);
        expect(await store.sweep("", FUTURE)).toBe(1);
        expect(await store.sweep("", FUTURE)).toBe(0);
        expect(await store.sweep("nowhere/", FUTURE)).toBe(0);
        expect(await under.leftovers()).toEqual(["s/kept"]);
      });

      test("a write that was swept away does not become visible, and says so", async () => {
        const writer = await store.create("s/swept");
        await writer.write(Buffer.alloc(under.unfinishedBytes));
        await store.sweep("s/", FUTURE);
        await expect(writer.commit()).rejects.toMatchObject({ code: "HF-STORAGE" });
        await writer.abort();
        expect(await store.size("s/swept")).toBeNull();
      });
    });

    describeLocking(() => under);

    test("free space is a number where it can be said", async () => {
      const free = await store.freeBytes();
      expect(free === null || (Number.isSafeInteger(free) && free > 0)).toBe(true);
    });
  });
}
