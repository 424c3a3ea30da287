import { expect, test } from "vitest";
import { FurtherNames } from "../../../src/files/further-names.ts";

test("of a file with several names what was kept is there for each further one, and gone after the last", () => {
  const names = new FurtherNames<string>();
  const facts = { inode: "7", names: 3 };
  expect(names.meet(facts)).toBeUndefined();
  names.keep(facts, "first");
  expect(names.meet(facts)).toBe("first");
  expect(names.meet(facts)).toBe("first");
  expect(names.size).toBe(0);
  expect(names.meet(facts)).toBeUndefined();
});

test("a file with one name is not kept, and a tree of hard links keeps no more than those whose names are still to come", () => {
  const names = new FurtherNames<number>();
  names.keep({ inode: "1", names: 1 }, 1);
  expect(names.size).toBe(0);
  for (let i = 0; i < 10_000; i++) {
    const facts = { inode: String(i), names: 2 };
    expect(names.meet(facts)).toBeUndefined();
    names.keep(facts, i);
    expect(names.meet(facts)).toBe(i);
  }
  expect(names.size).toBe(0);
});
