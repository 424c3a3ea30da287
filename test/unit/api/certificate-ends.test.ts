import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { certificateEnds } from "../../../src/api/certificate-ends.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";

const DAY_MS = 86_400_000;

async function makeCertificate(folder: string, name: string, days: number): Promise<string> {
  const file = join(folder, `${name}.pem`);
  await promisify(execFile)("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ed25519",
    "-nodes",
    "-keyout",
    join(folder, "key"),
    "-out",
    file,
    "-days",
    String(days),
    "-subj",
    `/CN=${name}`,
  ]);
  return readFile(file, "utf8");
}

test("a certificate ends with the first of its chain, and the authority for clients by itself", async () => {
  await using folder = await openScratchFolder();
  const [own, above] = [await makeCertificate(folder.path, "own", 90), await makeCertificate(folder.path, "above", 20)];
  const daysLeft = (expiresAt: string): number => Math.round((Date.parse(expiresAt) - Date.now()) / DAY_MS);
  const ends = (certificate: string, clientCa: string | null): string[] =>
    certificateEnds({ certificate, key: "", clientCa }).map(({ what, expiresAt }) => `${what}: ${daysLeft(expiresAt)} days`);
  expect(ends(own, null)).toEqual(["certificate of the API: 90 days"]);
  expect(ends(`${own}\n${above}`, own)).toEqual(["certificate of the API: 20 days", "authority for client certificates: 90 days"]);
});

test("what is no certificate has no end: the server that gets it says so", () => {
  expect(certificateEnds({ certificate: "nothing", key: "", clientCa: null })).toEqual([]);
});
