import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolveSecret } from "../../src/config.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import type { ScratchFolder } from "../support/scratch-folder.ts";

let folder: ScratchFolder;
beforeEach(async () => {
  folder = await openScratchFolder();
});
afterEach(async () => folder[Symbol.asyncDispose]());

async function secretOf(script: string, ...args: string[]): Promise<string> {
  const program = join(folder.path, "kms-get");
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, 0o700);
  return resolveSecret({ kind: "command", command: [program, ...args] }, "the passphrase of repository onsite");
}

test("a passphrase comes from a program, which gets its arguments as they are, without a shell", async () => {
  expect(await secretOf('printf "%s\\n" "$1"', "a $HOME `id` ; word")).toBe("a $HOME `id` ; word");
});

test.each([
  ["fails", "echo s3cret; echo s3cret >&2; exit 3", /ended with exit code 3/],
  ["prints nothing", "true", /printed nothing/],
  ["prints more than one line", "echo s3cret; echo s3cret", /more than one line/],
])("a program that %s is refused, and nothing that it said is repeated", async (_what, script, message) => {
  const error: unknown = await secretOf(script).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "HF-KEY", exitCode: 2, message: expect.stringMatching(message) as string });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("s3cret");
});

test("a program that is not there is named", async () => {
  await expect(resolveSecret({ kind: "command", command: ["/nowhere/kms-get"] }, "the passphrase")).rejects.toThrow(/the program \/nowhere\/kms-get, which cannot be run/);
});
