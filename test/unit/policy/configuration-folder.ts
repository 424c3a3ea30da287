import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A folder with an inventory and its policies; gone when it goes out of scope. */
export interface ConfigurationFolder extends AsyncDisposable {
  readonly path: string;
  readonly inventory: string;
}

/** `files` by path within the folder; `holdfast.yaml` is the inventory. */
export async function configurationFolder(files: Readonly<Record<string, string | Uint8Array>>): Promise<ConfigurationFolder> {
  const path = await mkdtemp(join(tmpdir(), "holdfast-policy-"));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return { path, inventory: join(path, "holdfast.yaml"), [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const INVENTORY = `version: 1
repositories:
  onsite:
    url: file:///srv/holdfast
    class: fast
    encryption: { passphrase: env:HOLDFAST_KEY }
  cloud:
    url: file:///mnt/offsite
    encryption: { passphrase: file:/etc/holdfast/key }
sources:
  orders:
    kind: postgres
    connection: env:ORDERS_URL
    policy: nightly
    tier: critical
    dataClass: financial
`;

export const POLICY = `version: 1
name: nightly
objectives: { rto: 15m, rpo: 5m }
backups:
  full:
    schedule: { cron: "0 2 * * 0" }
    retention: 12w
    repositories: [onsite, cloud]
    verify: decoded
    recoveryTimeBudget: 4h
  log:
    schedule: stream
    retention: 24h
    repositories: [onsite]
drills:
  schedule: { cron: "0 4 1 * *" }
  checks:
    - { sql: "select count(*) from orders", database: app, expect: { min: 1 } }
windows: { heavy: [{ daily: "02:00-04:00" }] }
`;
