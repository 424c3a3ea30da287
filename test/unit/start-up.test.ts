import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/** Everybody feels how long a command takes to begin, and most of that is loading code: so none loads what it does not use. */
const ROOT = join(import.meta.dirname, "../..");
const LIST_LOADED = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from "node:module";
  import { writeSync } from "node:fs";
  registerHooks({ load: (url, context, next) => { writeSync(2, "loaded " + url + "\\n"); return next(url, context); } });
`)}`;

/** Packages and files of ours that a command loads. */
async function loadedBy(...args: string[]): Promise<{ packages: Set<string>; files: Set<string> }> {
  const { stderr } = await promisify(execFile)(process.execPath, ["--import", LIST_LOADED, join(ROOT, "src/main.ts"), ...args], { maxBuffer: 16 << 20 });
  const urls = [...stderr.matchAll(/^loaded file:\/\/(.*)$/gm)].map((match) => match[1] ?? "");
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  return { packages: new Set(packages), files: new Set(urls.flatMap((url) => /\/src\/(.*)$/.exec(url.includes("/node_modules/") ? "" : url)?.[1] ?? [])) };
}

const HEAVY = ["@aws-sdk/client-s3", "pdfkit", "fastify", "bree", "openid-client", "nodemailer", "prom-client", "age-encryption"];

test("the version is told without loading any command", async () => {
  const { packages, files } = await loadedBy("--version");
  expect([...packages]).toEqual(["commander"]);
  expect([...files].filter((file) => file.startsWith("cli/"))).toEqual([]);
});

test.each(["status", "wal push", "wal get", "info", "check"])("%s loads no library that it can do without", async (command) => {
  const { packages, files } = await loadedBy(...command.split(" "), "--help");
  expect(files).toContain(`cli/${command.split(" ")[0]}.ts`);
  expect(HEAVY.filter((name) => packages.has(name))).toEqual([]);
});

test("a status that is told from the catalog loads nothing that talks to servers", async () => {
  const { packages } = await loadedBy("status", "--help");
  expect(packages).not.toContain("pg");
});
