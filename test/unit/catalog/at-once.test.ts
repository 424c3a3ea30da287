import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const CATALOG = pathToFileURL(join(import.meta.dirname, "../../../src/catalog/catalog.ts")).href;
const OPENED_EACH = 300;

test("commands that open and close the catalog at the same time do not get into each other's way", async () => {
  await using scratch = await openScratchFolder();
  const file = join(scratch.path, "catalog.sqlite");
  const program = `import { Catalog } from ${JSON.stringify(CATALOG)}; for (let i = 0; i < ${OPENED_EACH}; i++) Catalog.open(${JSON.stringify(file)})[Symbol.dispose]();`;
  const ended = await Promise.all(
    [1, 2, 3].map(async () => {
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "ignore", "pipe"] });
      let complaint = "";
      child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString("utf8")));
      const [exitCode] = (await once(child, "close")) as [number | null];
      return { exitCode, complaint };
    }),
  );
  expect(ended).toEqual([1, 2, 3].map(() => ({ exitCode: 0, complaint: "" })));
});
