import { expect, test } from "vitest";
import { comparePaths } from "../../../src/domain/file-map.ts";
import { FolderListing } from "../../../src/postgres/folder-listing.ts";

const NAMES = ["16384", "16384_vm", "16384.1", "1", "10", "2", "2/", "2_", "ä", "e", "\u{1F418}", "\uFFFD", "", "a name with blanks", "x".repeat(255)];

test("a listing gives back what was added, in the order of maps", () => {
  const entries = NAMES.map((name, i) => ({ name, isFolder: name.endsWith("/"), linkTarget: i % 5 === 0 ? "/elsewhere" : null, size: i * 2 ** 40 }));
  const listing = new FolderListing();
  for (const entry of entries.toSorted((a, b) => (a.size % 11) - (b.size % 11))) listing.add(entry);
  expect(listing.count).toBe(NAMES.length);
  expect([...listing.sorted()]).toEqual(entries.toSorted((a, b) => comparePaths(a.name, b.name)));
  expect([...listing].toSorted((a, b) => comparePaths(a.name, b.name))).toEqual([...listing.sorted()]);
});

test("a listing of very many entries stays what it was while it grows", () => {
  const listing = new FolderListing();
  for (let i = 0; i < 20_000; i++) listing.add({ name: String((i * 7919) % 20_000), isFolder: i % 1000 === 0, linkTarget: null, size: i });
  const names = [...listing.sorted()].map(({ name }) => name);
  expect(names).toEqual(Array.from({ length: 20_000 }, (_, i) => String(i)).toSorted());
  expect([...listing].map(({ size }) => size)).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
  expect([...listing].filter(({ isFolder }) => isFolder)).toHaveLength(20);
});

test("an empty listing is empty", () => {
  expect([...new FolderListing(), ...new FolderListing().sorted()]).toEqual([]);
});
