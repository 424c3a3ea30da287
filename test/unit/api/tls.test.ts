import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import type { RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { ApiConfig } from "../../../src/policy/types.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import { loadTestInventory } from "../compliance/recorded-history.ts";
import { openGuardedApi } from "./api-fixture.ts";

/** Two authorities, and a certificate of each by the same name: only who signed it tells them apart. */
async function makeCertificates(folder: string): Promise<(name: string) => Promise<string>> {
  const openssl = async (...args: string[]): Promise<unknown> => promisify(execFile)("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const authority of ["ours", "theirs"]) {
    await openssl("req", "-x509", ...key, "-keyout", `${authority}.key`, "-out", `${authority}.crt`, "-subj", `/CN=${authority}`, "-days", "2");
    await openssl("req", ...key, "-keyout", `prom-${authority}.key`, "-out", `prom-${authority}.csr`, "-subj", "/CN=prom");
    await openssl(
      "x509",
      "-req",
      "-in",
      `prom-${authority}.csr`,
      "-CA",
      `${authority}.crt`,
      "-CAkey",
      `${authority}.key`,
      "-CAcreateserial",
      "-out",
      `prom-${authority}.crt`,
      "-days",
      "2",
    );
  }
  return async (name) => readFile(join(folder, name), "utf8");
}

test("over TLS a certificate of our authority is as good as a token, another's is none, and tokens work beside it", async () => {
  await using folder = await openScratchFolder();
  const file = await makeCertificates(folder.path);
  const inventory = await loadTestInventory();
  const place = { kind: "file", path: "/elsewhere" } as const;
  const clients = new Map([["prom", { role: "metrics", scope: null } as const]]);
  const api: ApiConfig = { ...inventory.api, demo: false, tls: { certificate: place, key: place, clientCa: place, clients } };
  const tls = { certificate: await file("ours.crt"), key: await file("ours.key"), clientCa: await file("ours.crt") };
  await using fixture = await openGuardedApi({ inventory: { ...inventory, api }, tls });
  await fixture.api.listen({ host: "127.0.0.1", port: 0 });
  const { port } = fixture.api.server.address() as AddressInfo;
  const ask = async (path: string, more: RequestOptions = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, rejectUnauthorized: false, agent: false, ...more }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      asked.on("error", reject).end();
    });
  const ours = { cert: await file("prom-ours.crt"), key: await file("prom-ours.key") };
  const theirs = { cert: await file("prom-theirs.crt"), key: await file("prom-theirs.key") };
  expect([await ask("/metrics", ours), await ask("/api/v1/status", ours)]).toEqual([200, 403]);
  expect([await ask("/metrics", theirs), await ask("/metrics"), await ask("/healthz")]).toEqual([401, 401, 200]);
  expect(await ask("/api/v1/status", { headers: { authorization: `Bearer ${fixture.token("viewer")}` } })).toBe(200);
  await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow(/fetch failed/);
  expect(fixture.access.find(({ facts }) => facts["why"] === "role")?.facts).toMatchObject({ by: "prom", role: "metrics" });
});
