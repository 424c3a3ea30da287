import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificatesOf, encodeStampRequest, newNonce, problemWithStamp, readTimeStamp } from "../../../src/repository/time-stamp.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";
import { TimeAuthority } from "../../support/time-authority.ts";

const CONTENT = Buffer.from("what was there");
const digest = createHash("sha256").update(CONTENT).digest("hex");
let scratch: ScratchFolder;

beforeAll(async () => {
  scratch = await openScratchFolder();
});
afterAll(async () => scratch[Symbol.asyncDispose]());

async function authorityIn(name: string, use?: string): Promise<TimeAuthority> {
  const folder = path.join(scratch.path, name);
  await mkdir(folder);
  return TimeAuthority.start(folder, use === undefined ? {} : { use });
}

const rootsOf = async ({ rootFile }: TimeAuthority): Promise<ReturnType<typeof certificatesOf>> => certificatesOf(await readFile(rootFile, "utf8"));

test("a stamp of openssl says what it was asked, and is believed with the root of its authority alone", async () => {
  await using authority = await authorityIn("good");
  await using other = await authorityIn("other");
  const nonce = newNonce();
  const before = Date.now();
  const answer = await authority.stamp(await encodeStampRequest(digest, nonce));
  const stamp = await readTimeStamp("it", answer);
  expect(stamp).toMatchObject({ sha256: digest, accuracySeconds: 1, authority: "CN=Authority of the test" });
  expect(stamp.nonce).toBe(nonce);
  expect(stamp.at.getTime()).toBeGreaterThanOrEqual(before - 1000);
  expect(stamp.at.getTime()).toBeLessThanOrEqual(Date.now());
  expect(await problemWithStamp(answer, CONTENT, await rootsOf(authority))).toBeNull();
  expect(await problemWithStamp(answer, CONTENT, [...(await rootsOf(other)), ...(await rootsOf(authority))])).toBeNull();
  expect(await problemWithStamp(answer, Buffer.from("something else"), await rootsOf(authority))).toBe("it is of another content");
  expect(await problemWithStamp(answer, CONTENT, await rootsOf(other))).toContain("vouches");
  expect(await problemWithStamp(answer, CONTENT, [])).toContain("vouches");
  // A later answer with more after it, or with less, is none.
  for (const bytes of [answer.subarray(0, -1), Buffer.alloc(0), Buffer.from("no"), Buffer.alloc(1 << 17)]) {
    expect(await problemWithStamp(bytes, CONTENT, await rootsOf(authority))).not.toBeNull();
    await expect(readTimeStamp("it", bytes)).rejects.toMatchObject({ code: "HF-DAMAGE" });
  }
});

test("of the bytes of what an authority signed none can be another", async () => {
  await using authority = await authorityIn("flipped");
  const answer = await authority.stamp(await encodeStampRequest(digest, "01"));
  const roots = await rootsOf(authority);
  const signed = (await readTimeStamp("it", answer)).at.getTime();
  const believed: number[] = [];
  // Each of them takes a minute; the step falls on others each time, as the lengths of signatures differ.
  for (let at = 0; at < answer.length; at += 11) {
    const changed = Buffer.from(answer);
    changed[at] = (changed[at] ?? 0) ^ 1;
    if ((await problemWithStamp(changed, CONTENT, roots)) !== null) continue;
    // What stands around what is signed may be another: then it says the same.
    expect((await readTimeStamp("it", changed)).at.getTime()).toBe(signed);
    believed.push(at);
  }
  expect(believed.length).toBeLessThan(answer.length / 44);
});

test("a certificate for something else does not stamp, and a refusal is none", async () => {
  await using authority = await authorityIn("server", "critical,serverAuth,timeStamping");
  const answer = await authority.stamp(await encodeStampRequest(digest, "01")).catch(() => null);
  // openssl itself refuses to stamp with it: then nothing is left to be believed.
  if (answer !== null) expect(await problemWithStamp(answer, CONTENT, await rootsOf(authority))).toContain("not for time stamps");
  await using good = await authorityIn("refusing");
  const refusal = await good.stamp(Buffer.from("3003020101", "hex")).catch(() => Buffer.from("30053003020102", "hex"));
  await expect(readTimeStamp("it", refusal)).rejects.toThrow("refused");
});
