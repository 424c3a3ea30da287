import fc from "fast-check";
import { expect, test } from "vitest";
import { isSafePath } from "../../../src/domain/file-map.ts";
import { placeBelow, readName, writeName } from "../../../src/files/names.ts";

const bytesOf = (name: string | Buffer): Buffer => (typeof name === "string" ? Buffer.from(name) : name);
const anyName = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x25 : byte))));

test("every name that a file can have comes back byte for byte, and is safe as it is written", () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const written = writeName(name);
      expect(bytesOf(readName(written))).toEqual(name);
      expect(isSafePath(written)).toBe(written !== "." && written !== "..");
    }),
  );
});

test("names that are text are written as they are", () => {
  expect(["a.txt", "ünï", "new\nline", "..."].map(writeName)).toEqual(["a.txt", "ünï", "new\nline", "..."]);
  expect(writeName("50%\\")).toBe("50%25%5C");
  expect(writeName(Buffer.from([0x61, 0xff]))).toBe("a%FF");
});

test.each(["%2F", "a%2E%2E", "%2e", "%00", "x%", "%zz", "%C3%BC", "%41"])("%s is no name that we write, and is refused", (text) => {
  expect(() => placeBelow("/target", text)).toThrow("is written");
});
