import { DamageError } from "../../errors.ts";
import { readAnyDocument } from "../../repository/document.ts";
import type { EvidenceEntry } from "../../repository/evidence-entry.ts";
import { adminContext, readExpelledList, readHosts } from "../../repository/hosts.ts";
import { readEnvelope } from "../../repository/key-envelopes.ts";
import type { KeyLink } from "../../repository/key-chain.ts";
import { DESCRIPTOR_KEY, keys } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import type { DamageReport, VerifyTotals } from "./verify-report.ts";

interface Foundations {
  readonly repository: Repository;
  readonly report: DamageReport;
  readonly totals: VerifyTotals;
  /** All that are there: what they depend on hurts each of them. */
  readonly backups: readonly string[];
  readonly evidence: readonly EvidenceEntry[];
}

/** Rejects with `DamageError` where a key came after another, on record, and nothing leads to it any more: then new data cannot be opened, and would be sealed to the old key. */
export function requireWholeChain(repository: Repository, evidence: readonly EvidenceEntry[]): void {
  const there = new Set(repository.chain.links.map(({ keyId }) => keyId));
  for (const { facts } of ofRepository(evidence, repository, "key.rotated")) {
    const { from, to } = facts;
    if (typeof from === "string" && typeof to === "string" && there.has(from) && !there.has(to))
      throw new DamageError(keys.rotation(from), "the object is not there, and this key was rotated on record", "missing");
  }
}

function ofRepository(evidence: readonly EvidenceEntry[], { repositoryId }: Repository, kind: string): EvidenceEntry[] {
  return evidence.filter((entry) => entry.kind === kind && entry.facts["repositoryId"] === repositoryId);
}

/** What all backups depend on: the descriptor, keys and their envelopes, rotations, hosts; and leases, which no backup depends on. */
export async function verifyFoundations(work: Foundations): Promise<void> {
  const { repository, report, totals, backups } = work;
  const check: Check = async (hurt, act) => {
    totals.objects++;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      report.add(error, { backups: hurt });
    }
  };
  const { links, newest } = repository.chain;
  const [first = newest] = links;
  await check(backups, () => readAnyDocument(signedBy(repository, first), DESCRIPTOR_KEY));
  for (const link of links) {
    // Key documents and rotations were read, and are authentic, or there would be no chain.
    totals.objects += link === newest ? 1 : 2;
    await verifyEnvelopes(repository, link, backups, check);
  }
  await reportRemovedEnvelopes(work);
  await verifyHosts(work, newest, check);
  for await (const { key } of repository.store.list("leases/")) await check([], async () => readLeaseDocument(repository, key));
}

type Check = (hurt: readonly string[], act: () => Promise<unknown>) => Promise<void>;

function signedBy({ store, repositoryId }: Repository, link: KeyLink): ReturnType<typeof adminContext> {
  return adminContext({ store, repositoryId, link });
}

async function verifyEnvelopes({ store, repositoryId }: Repository, link: KeyLink, backups: readonly string[], check: Check): Promise<void> {
  const folder = keys.keyEnvelopes(link.keyId);
  const names = await store.listNames(folder);
  for (const name of names.filter((entry) => entry !== "key.json")) {
    const object = folder + name.replace(/\.json$/, ".age");
    if (name.endsWith(".age")) await check(backups, async () => readEnvelope(store, repositoryId, link, object));
    // A statement whose age file is gone names what was taken away.
    else if (!names.includes(object.slice(folder.length)))
      await check(backups, async () => {
        throw new DamageError(object, "the object is not there; its signed statement is", "missing");
      });
  }
}

/** Envelopes that were added on record, and neither removed on record nor there: whoever holds what opens them is locked out. */
async function reportRemovedEnvelopes({ repository, report, backups, evidence }: Foundations): Promise<void> {
  const objectsOf = (entries: readonly EvidenceEntry[]): string[] =>
    entries.flatMap(({ facts }) => (Array.isArray(facts["envelopes"]) ? facts["envelopes"].filter((object) => typeof object === "string") : []));
  const removed = new Set(objectsOf(ofRepository(evidence, repository, "key.removed")));
  const added = ["repository.created", "key.added", "key.rotated"].flatMap((kind) => objectsOf(ofRepository(evidence, repository, kind)));
  const there = new Set<string>();
  for (const { keyId } of repository.chain.links) for (const name of await repository.store.listNames(keys.keyEnvelopes(keyId))) there.add(keys.keyEnvelopes(keyId) + name);
  for (const object of added.filter((entry) => !removed.has(entry) && !there.has(entry)))
    report.add(new DamageError(object, "the object is not there: it was added on record, and not removed", "missing"), { backups });
}

/** In this order: a host is admitted before it writes. */
async function verifyHosts({ repository, report, backups, evidence }: Foundations, newest: KeyLink, check: Check): Promise<void> {
  const { store, repositoryId } = repository;
  const writers = await store.listNames(keys.evidence());
  const folder = keys.hosts(newest.keyId);
  const admitted = await store.listNames(folder);
  const { expelled } = await readHosts({ store, repositoryId, link: newest });
  for (const host of expelled) await check(backups, () => readExpelledList(store, host.list));
  const gone = new Set(expelled.map(({ fingerprint }) => fingerprint));
  for (const { facts } of ofRepository(evidence, repository, "host.expelled"))
    if (typeof facts["host"] === "string" && !gone.has(facts["host"]))
      report.add(new DamageError(keys.expelledHost(newest.keyId, facts["host"]), "the object is not there, and this host was expelled on record", "missing"), { backups });
  for (const fingerprint of writers.map((name) => name.slice(0, -1))) {
    const host = keys.host(newest.keyId, fingerprint);
    if (!admitted.includes(host.slice(folder.length)) && !gone.has(fingerprint))
      report.add(new DamageError(host, "the object is not there, and this host has written evidence", "missing"), { backups });
  }
  for (const name of admitted) await check(backups, () => readAnyDocument(signedBy(repository, newest), folder + name));
}

/** A lease moves on while we look: the document before is removed, and nobody misses it. */
async function readLeaseDocument(repository: Repository, key: string): Promise<void> {
  try {
    await readAnyDocument(repository, key);
  } catch (error) {
    if (!(error instanceof DamageError) || error.kind !== "missing") throw error;
  }
}
