import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

test("output that nobody reads to its end stops no command", async () => {
  const child = spawn(process.execPath, [MAIN, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString("utf8")));
  const [exitCode] = (await once(child, "close")) as [number | null];
  expect({ exitCode, complaint }).toEqual({ exitCode: 0, complaint: "" });
});
