import { HoldfastError } from "../../errors.ts";
import { admitHost, expelFrom, readRequests } from "../../repository/hosts.ts";
import type { AdmittedHost } from "../../repository/hosts.ts";
import { keys } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import { listSignedBy } from "../../repository/signed-objects.ts";
import type { Administration } from "../administration.ts";
import type { Installation } from "../installation.ts";
import { changingKeys, recordChange } from "./key-change.ts";

interface RequestView {
  readonly fingerprint: string;
  readonly name: string;
  readonly askedAt: string;
}

/** Hosts that ask to be admitted. Anybody who can write in the storage can ask, under any name. */
export async function findRequests(repository: Repository): Promise<RequestView[]> {
  const known = new Set(repository.hosts.map(({ fingerprint }) => fingerprint));
  const requests = await readRequests(repository.store, repository.repositoryId);
  return requests.filter(({ key }) => !known.has(key.fingerprint)).map(({ key, name, askedAt }) => ({ fingerprint: key.fingerprint, name, askedAt }));
}

/** Shorter ones can be made to fit: a fingerprint is compared by people. */
const SHORTEST_PREFIX = 16;

function matching<T>(all: readonly T[], fingerprintOf: (entry: T) => string, given: string): T | undefined {
  const found = all.filter((entry) => fingerprintOf(entry).startsWith(given.toLowerCase()));
  return given.length >= SHORTEST_PREFIX && found.length === 1 ? found[0] : undefined;
}

/** Admits a host that asked. */
export async function admitRequested(
  installation: Installation,
  admin: Administration,
  request: { fingerprint: string; name: string | null },
): Promise<{ fingerprint: string; name: string; admittedAt: string }> {
  const { repository, identity } = admin;
  const { store, repositoryId, hosts } = repository;
  if (matching(hosts, ({ fingerprint }) => fingerprint, request.fingerprint) !== undefined)
    throw new HoldfastError("HF-USAGE", `that host is known in ${repository.name} already`, { hint: "see 'holdfast key hosts'; one that was expelled needs a new key of its own" });
  const asking = matching(await readRequests(store, repositoryId), ({ key }) => key.fingerprint, request.fingerprint);
  if (asking === undefined)
    throw new HoldfastError("HF-USAGE", `no host of that fingerprint asks to write in ${repository.name}`, {
      hint: "run 'holdfast key request' on it, and give the whole fingerprint that it prints",
    });
  return changingKeys(installation, admin, async () => {
    const at = installation.clock.now();
    const { key } = asking;
    const name = request.name ?? asking.name;
    await admitHost(store, repositoryId, identity, { key, name, at, by: repository.signer });
    await store.remove([keys.request(key.fingerprint)]);
    await recordChange(installation, admin, "host.admitted", { host: key.fingerprint, name, keyId: identity.keyId });
    return { fingerprint: key.fingerprint, name, admittedAt: at.toISOString() };
  });
}

/** Takes a host's leave to write. What it has signed until now is listed, and only that is believed of it. */
export async function expelHost(installation: Installation, admin: Administration, given: string): Promise<{ fingerprint: string; name: string; objects: number }> {
  const { repository, identity } = admin;
  const { store, repositoryId } = repository;
  const host = requireExpellable(repository.hosts, given, repository.signer.fingerprint, repository.name);
  return changingKeys(installation, admin, async () => {
    const { fingerprint, name } = host;
    const signed = await listSignedBy(repository, fingerprint);
    await recordChange(installation, admin, "host.expelled", { host: fingerprint, name, keyId: identity.keyId, objects: signed.size });
    await expelFrom(store, repositoryId, identity, { ...host, expelledAt: installation.clock.now().toISOString() }, signed);
    return { fingerprint, name, objects: signed.size };
  });
}

function requireExpellable(hosts: readonly AdmittedHost[], given: string, own: string, repository: string): AdmittedHost {
  const host = matching(hosts, ({ fingerprint }) => fingerprint, given);
  if (host === undefined) throw new HoldfastError("HF-USAGE", `${repository} knows no host of that fingerprint`, { hint: "see 'holdfast key hosts'; give at least 16 digits" });
  if (host.expelledAt !== null) throw new HoldfastError("HF-USAGE", `${host.name} was expelled already`, { hint: "see 'holdfast key hosts'" });
  if (host.fingerprint === own) throw new HoldfastError("HF-USAGE", "this host cannot expel itself", { hint: "do it on another host that has the passphrase" });
  return host;
}
