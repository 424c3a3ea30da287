import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProgram } from "../../../src/postgres/process.ts";
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
