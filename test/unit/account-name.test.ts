import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { accountName } from "../../src/config.ts";
import { NOT_RUN } from "../support/not-run.ts";

const NOBODY_BY_NAME = 54_321;
const isRoot = process.getuid?.() === 0;

test("an account has its name", () => {
  expect(accountName()).toBe(isRoot ? "root" : expect.stringMatching(/./));
});

test.skipIf(!isRoot)(isRoot ? "an account without a name, as containers are given, is its number" : `${NOT_RUN}another account can be taken on as root only`, () => {
  const program = `import { accountName } from ${JSON.stringify(new URL("../../src/config.ts", import.meta.url).href)}; process.setuid(${NOBODY_BY_NAME}); console.log(accountName());`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" });
  expect([stdout.trim(), stderr]).toEqual([`uid ${NOBODY_BY_NAME}`, ""]);
});
