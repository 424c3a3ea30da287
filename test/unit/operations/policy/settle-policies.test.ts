import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Identity } from "../../../../src/access/identity.ts";
import { openApp } from "../../../../src/app.ts";
import { systemClock } from "../../../../src/clock.ts";
import { approvePolicy } from "../../../../src/operations/policy/approve-policy.ts";
import { createRepository } from "../../../../src/repository/create-repository.ts";
import { openLocalStore, prepareLocalStore } from "../../../../src/storage/local-store.ts";
import { configurationFolder } from "../../policy/configuration-folder.ts";

const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";
const ADMIN: Identity = { kind: "token", id: "1", name: "bea", role: "admin", scope: null };

const policy = (retention: string, more = ""): string =>
  `version: 1\nname: p\nchanges: { approval: required${more} }\nobjectives: { rto: 1h, rpo: 2h }\nbackups:\n  full: { schedule: { every: 1h }, retention: ${retention}, repositories: [onsite] }\n`;

interface Site extends AsyncDisposable {
  readonly folder: string;
  write(text: string): Promise<void>;
  /** Days that fulls are kept by the policy in force, and what was said. */
  days(): Promise<{ days: number; notices: string[] }>;
  /** Every `policy.…` entry about the policy, as kind, whether in force, and what got weaker or stronger. */
  record(): Promise<string[]>;
  approve(identity?: Identity): Promise<unknown>;
}

async function openSite(): Promise<Site> {
  const folder = await configurationFolder({ key: PASSPHRASE, "policies/p.yaml": policy("30d"), "holdfast.yaml": "" });
  await writeFile(
    folder.inventory,
    `version: 1\nrepositories:\n  onsite: { url: "file://${folder.path}/onsite", encryption: { passphrase: "file:${folder.path}/key" } }\nsources:\n  db: { connection: env:NOT_SET, policy: p }\n`,
  );
  await prepareLocalStore(join(folder.path, "onsite"));
  await createRepository({ name: "onsite", store: openLocalStore(join(folder.path, "onsite")), passphrase: PASSPHRASE, now: systemClock.now() });
  const open = async (notices: string[] = []): ReturnType<typeof openApp> => openApp({ config: folder.inventory, clock: systemClock, onNotice: (text) => void notices.push(text) });
  return {
    folder: folder.path,
    write: async (text) => writeFile(join(folder.path, "policies/p.yaml"), text),
    days: async () => {
      const notices: string[] = [];
      await using app = await open(notices);
      return { days: (app.inventory.sources.get("db")?.policy.backups.get("full")?.retention.keepForSeconds ?? 0) / 86_400, notices };
    },
    record: async () => {
      await using app = await open();
      const lines: string[] = [];
      for await (const { kind, facts } of app.journal.evidence.entriesFrom(1)) {
        const difference = (facts["difference"] ?? []) as { direction: string }[];
        if (kind.startsWith("policy.") && facts["name"] === "p")
          lines.push([kind, ...(typeof facts["inForce"] === "boolean" ? [String(facts["inForce"])] : []), ...difference.map(({ direction }) => direction)].join(" "));
      }
      return lines;
    },
    approve: async (identity = ADMIN) => {
      await using app = await open();
      return await approvePolicy(app, { name: "p", identity });
    },
    [Symbol.asyncDispose]: async () => folder[Symbol.asyncDispose](),
  };
}

test("a weakening is on record and not in force until somebody else approves it; what was in force goes on, out of the evidence log", async () => {
  await using site = await openSite();
  expect((await site.days()).days).toBe(30);
  await site.write(policy("7d", ", reason: disks are full, category: emergency"));
  const first = await site.days();
  expect([first.days, first.notices]).toEqual([30, [expect.stringContaining("policy p was made weaker, and that waits for approval")]]);
  expect((await site.days()).days).toBe(30);
  expect(await site.record()).toEqual(["policy.changed true", "policy.changed false weaker"]);
  await site.approve();
  expect(await site.days()).toEqual({ days: 7, notices: [] });
  expect(await site.record()).toEqual(["policy.changed true", "policy.changed false weaker", "policy.approved"]);
  await expect(site.approve()).rejects.toThrow('no change of policy "p" waits for approval');
});

test("also with the catalog lost: what is in force comes back from evidence", async () => {
  await using site = await openSite();
  await site.days();
  await site.write(policy("7d"));
  await site.days();
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(site.folder, "state", `catalog.sqlite${suffix}`), { force: true });
  expect((await site.days()).days).toBe(30);
  await site.approve();
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(site.folder, "state", `catalog.sqlite${suffix}`), { force: true });
  expect((await site.days()).days).toBe(7);
});

test.each<[string, Partial<Identity>, string]>([
  ["an operator", { role: "operator" }, "may not approve policies"],
  ["an admin of some sources only", { scope: ["db"] }, "may not approve policies"],
])("%s approves nothing", async (_, more, message) => {
  await using site = await openSite();
  await site.days();
  await site.write(policy("7d"));
  await site.days();
  await expect(site.approve({ ...ADMIN, ...more })).rejects.toThrow(message);
  expect((await site.days()).days).toBe(30);
});

test("whoever made a change does not approve it", async () => {
  await using site = await openSite();
  await site.days();
  await site.write(policy("7d"));
  await using app = await openApp({ config: join(site.folder, "holdfast.yaml"), clock: systemClock, onNotice: () => undefined });
  let changedBy = "";
  for await (const { kind, facts } of app.journal.evidence.entriesFrom(1)) if (kind === "policy.changed" && facts["name"] === "p") changedBy = String(facts["by"]);
  await expect(site.approve({ ...ADMIN, name: changedBy })).rejects.toThrow("made this change, and somebody else has to approve it");
});

test("a strengthening is in force at once, and taking back what waited leaves nothing to approve", async () => {
  await using site = await openSite();
  await site.days();
  await site.write(policy("60d"));
  expect((await site.days()).days).toBe(60);
  await site.write(policy("7d"));
  expect((await site.days()).days).toBe(60);
  await site.write(policy("60d"));
  expect(await site.days()).toEqual({ days: 60, notices: [] });
  await expect(site.approve()).rejects.toThrow("waits for approval");
});

test("to ask for no more approvals is a weakening too, and waits", async () => {
  await using site = await openSite();
  await site.days();
  await site.write(policy("7d").replace("approval: required", "approval: none"));
  expect((await site.days()).days).toBe(30);
});

test("where no approval is asked for, a weakening is in force, and on record as one", async () => {
  await using site = await openSite();
  await site.write(policy("30d").replace("approval: required", "approval: none"));
  await site.days();
  await site.write(policy("7d").replace("approval: required", "approval: none"));
  expect((await site.days()).days).toBe(7);
  expect(await site.record()).toEqual(["policy.changed true", "policy.changed true weaker"]);
});
