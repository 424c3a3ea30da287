import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadDigest } from "../../../src/repository/block-digest.ts";
import { codecThreads } from "../../../src/repository/codec-threads.ts";
import { FrameFault } from "../../../src/repository/frame-codec.ts";
import type { FrameSecret, SealedFrame } from "../../../src/repository/frame-codec.ts";
import { must } from "../../../src/errors.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const BYTES = 1 << 20;
const BLOCK = 8192;
const SEED = 7n;
/** More than is done on the calling thread before others are started. */
const FRAMES = 40;

const secretOf = (index: number, object = "a"): FrameSecret => ({ key: KEY, index, binding: { repositoryId: "r", source: "db", object } });
const KEY = randomBytes(32);

/** Half of it shrinks; no two frames are alike. */
function contentOf(index: number, bytes = BYTES): Buffer {
  const content = Buffer.alloc(bytes, index);
  randomBytes(bytes / 2).copy(content);
  return content;
}

describe("frames sealed and opened on threads", () => {
  test("come back as they were, whatever came in between, and for each copy under its own name", async () => {
    const contents = Array.from({ length: FRAMES }, (_, i) => contentOf(i, i % 3 === 0 ? 5000 : BYTES));
    const sealed = await Promise.all(contents.map((content, i) => codecThreads.seal(ownCopy(content), 1, [secretOf(i, "a"), secretOf(i, "b")])));
    for (const [copy, object] of ["a", "b"].entries()) {
      const plains = await Promise.all(sealed.map((frames, i) => opened(frames[copy], secretOf(i, object))));
      expect(plains.every((plain, i) => plain.equals(contents[i] ?? Buffer.alloc(0)))).toBe(true);
    }
    await expect(opened(sealed[1]?.[0], secretOf(1, "b"))).rejects.toThrow(FrameFault);
  });

  test("are refused with the reason, and the next are opened", async () => {
    const [frame] = await codecThreads.seal(contentOf(1), 1, [secretOf(1)]);
    const { stored, ...facts } = must(frame, "a frame");
    const broken = new Uint8Array(stored);
    broken[100] = (broken[100] ?? 0) ^ 1;
    await expect(codecThreads.open(broken, facts, secretOf(1))).rejects.toThrow("frame 1 does not fit its digest");
    await expect(codecThreads.open(stored, facts, secretOf(2))).rejects.toThrow("frame 2 is not authentic");
    await expect(codecThreads.open(stored, { ...facts, plainLength: facts.plainLength - 1 }, secretOf(1))).rejects.toThrow("frame 1 is not authentic");
    expect((await codecThreads.open(stored, facts, secretOf(1))).length).toBe(BYTES);
  });

  test("are held against their digests, and stored bytes against theirs, wherever it is done", async () => {
    const digest = await loadDigest();
    const contents = Array.from({ length: FRAMES }, (_, i) => contentOf(i));
    const digestsOf = (content: Buffer): BigUint64Array => BigUint64Array.from({ length: BYTES / BLOCK }, (_, i) => digest(content.subarray(i * BLOCK, (i + 1) * BLOCK), SEED));
    const sealed = await Promise.all(contents.map((content, i) => codecThreads.seal(ownCopy(content), 1, [secretOf(i)])));
    const frames = sealed.map(([frame]) => must(frame, "a frame"));
    const check = async (i: number, digests: BigUint64Array): Promise<string | null> => {
      const { stored, ...facts } = must(frames[i], "a frame");
      return (await codecThreads.check(new Uint8Array(stored), facts, secretOf(i), { blockSize: BLOCK, digestSeed: SEED, digests, pages: [] })).fault;
    };
    expect(await Promise.all(contents.map(async (content, i) => check(i, digestsOf(content))))).toEqual(contents.map(() => null));
    const wrong = digestsOf(must(contents[3], "content"));
    wrong[5] = (wrong[5] ?? 0n) ^ 1n;
    expect(await check(3, wrong)).toBe("has a block 5 that does not fit its digest");
    expect(await check(3, wrong.subarray(1))).toBe(`has ${BYTES} bytes for ${BYTES / BLOCK - 1} blocks`);
    for (const [i, { stored, ...facts }] of frames.entries()) {
      await codecThreads.checkStored(new Uint8Array(stored), facts, i);
      const broken = new Uint8Array(stored);
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
      await expect(codecThreads.checkStored(broken, facts, i)).rejects.toThrow(`frame ${i} does not fit its digest`);
    }
  });

  test("go into files piece by piece, and not at all where they are damaged; what writing says is said here", async () => {
    await using scratch = await openScratchFolder();
    const file = await open(join(scratch.path, "file"), "w+");
    const contents = Array.from({ length: FRAMES }, (_, i) => contentOf(i));
    const sealed = await Promise.all(contents.map((content, i) => codecThreads.seal(ownCopy(content), 1, [secretOf(i)])));
    const write = async (i: number, fd: number, change: (stored: Uint8Array) => void = () => undefined): Promise<void> => {
      const { stored, ...facts } = must(sealed[i]?.[0], "a frame");
      const own = new Uint8Array(stored);
      change(own);
      // The second half before the first, and of a frame in the middle nothing else.
      const halves = [
        { fd, at: i * BYTES + BYTES / 2, from: BYTES / 2, length: BYTES / 2 },
        { fd, at: i * BYTES, from: 0, length: BYTES / 2 },
      ];
      await codecThreads.write(own, facts, secretOf(i), i === FRAMES / 2 ? halves.slice(0, 1) : halves);
    };
    try {
      await Promise.all(contents.map(async (_, i) => write(i, file.fd)));
      await expect(write(3, file.fd, (stored) => stored.fill(0, 0, 9))).rejects.toThrow("frame 3 does not fit its digest");
      const expected = Buffer.concat(contents);
      expected.fill(0, (FRAMES / 2) * BYTES, (FRAMES / 2) * BYTES + BYTES / 2);
      expect((await readFile(join(scratch.path, "file"))).equals(expected)).toBe(true);
    } finally {
      await file.close();
    }
    const readOnly = await open(join(scratch.path, "file"), "r");
    await expect(write(1, readOnly.fd)).rejects.toMatchObject({ code: "EBADF" });
    await readOnly.close();
  });

  test("lie in memory that is used again, and never while somebody looks at it", async () => {
    const kept: { plain: Buffer; expected: Buffer }[] = [];
    for (let i = 0; i < FRAMES; i++) {
      const content = contentOf(i);
      const memory = codecThreads.spare(BYTES);
      content.copy(memory);
      const [frame] = await codecThreads.seal(memory, 1, [secretOf(i)]);
      const plain = await opened(frame, secretOf(i));
      if (i % 2 === 0) kept.push({ plain, expected: content });
      else codecThreads.reuse(plain);
      codecThreads.reuse(must(frame, "a frame").stored);
    }
    expect(kept.every(({ plain, expected }) => plain.equals(expected))).toBe(true);
  });
});

async function opened(frame: SealedFrame | undefined, secret: FrameSecret): Promise<Buffer> {
  const { stored, ...facts } = must(frame, "a frame");
  return codecThreads.open(stored, facts, secret);
}

/** What is handed to the codec is its own afterwards. */
function ownCopy(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes);
}
