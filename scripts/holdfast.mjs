#!/usr/bin/env node
// Starts holdfast on a Node that can run it: this one, or the one that came with the project. Plain JavaScript, so that an old Node can still say what is wrong.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NEEDED = 24;
// PostgreSQL takes exit codes up to 125 from a restore_command for the end of WAL.
const failed = process.argv[2] === "wal" && process.argv[3] === "get" ? 126 : 70;
const self = fileURLToPath(import.meta.url);
const source = join(dirname(self), "../src");

if (Number(process.versions.node.split(".")[0]) >= NEEDED) {
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  const { prepareProcess } = await import(join(source, "prepare-process.mjs"));
  prepareProcess();
  await import(join(source, "main.ts")).catch(fail);
} else {
  const own = bundledNode();
  if (own === null) {
    process.stderr.write(
      `error[HF-USAGE]: holdfast needs Node ${NEEDED} or newer, this is ${process.versions.node}\nhint: install Node ${NEEDED}, or run 'npm install' with optional dependencies\n`,
    );
    process.exit(failed === 126 ? 126 : 2);
  }
  const child = spawn(own, [self, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => child.kill(name));
  child.on("error", fail);
  child.on("exit", (status, signal) => process.exit(signal === null ? status : 128));
}

function bundledNode() {
  try {
    const require = createRequire(import.meta.url);
    return join(dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`)), "bin/node");
  } catch {
    return null;
  }
}

function fail(error) {
  process.stderr.write(`error[HF-BUG]: ${error?.stack ?? error}\nhint: this is a bug in holdfast; please report it\n`);
  process.exit(failed);
}
