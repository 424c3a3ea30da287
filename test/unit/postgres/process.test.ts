import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DamageError, HoldfastError } from "../../../src/errors.ts";
import { feedProgram, startProgram } from "../../../src/postgres/process.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

test("a server of ours gets nothing of our environment, which may hold secrets", async () => {
  await using scratch = await openScratchFolder();
  const logFile = join(scratch.path, "log");
  process.env["HOLDFAST_TEST_SECRET"] = "hunter2";
  try {
    const program = startProgram("/usr/bin/env", [], { runAs: null, cwd: scratch.path, logFile, env: { PGTZ: "UTC" } });
    await program.ended;
  } finally {
    delete process.env["HOLDFAST_TEST_SECRET"];
  }
  const names = (await readFile(logFile, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("=")[0]);
  expect(names.toSorted()).toEqual(["LC_ALL", "PATH", "PGTZ"]);
});

test("a program that complains because what it reads breaks off is not to blame: what broke off is told", async () => {
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from("some of it");
    await Promise.resolve();
    throw new DamageError("packs/1", "a frame does not fit its digest");
  };
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield* [Buffer.from("some of it")];
  };
  const complaining = async (input: AsyncIterable<Buffer>, mayFail: boolean): Promise<unknown> =>
    feedProgram("/bin/sh", ["-c", "cat > /dev/null; echo unexpected end of file >&2; exit 1"], input, { signal: new AbortController().signal, mayFail });
  await expect(complaining(broken(), false)).rejects.toBeInstanceOf(DamageError);
  await expect(complaining(broken(), true)).rejects.toBeInstanceOf(DamageError);
  await expect(complaining(whole(), false)).rejects.toThrow(/unexpected end of file/);
  await expect(complaining(whole(), false)).rejects.toBeInstanceOf(HoldfastError);
});
