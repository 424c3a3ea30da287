import { HoldfastError } from "../../errors.ts";
import { unwrapIdentity } from "../../repository/identity.ts";
import { isSound, listEnvelopes, readEnvelope, writeEnvelope } from "../../repository/key-envelopes.ts";
import type { KeyEnvelope, Opener } from "../../repository/key-envelopes.ts";
import { keys } from "../../repository/layout.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { Administration } from "../administration.ts";
import type { Installation } from "../installation.ts";
import { changingKeys, recordChange } from "./key-change.ts";

const LABEL = /^[a-z0-9][a-z0-9._-]{0,39}$/;

export function requireLabel(label: string): string {
  if (LABEL.test(label)) return label;
  throw new HoldfastError("HF-USAGE", `not a label: ${JSON.stringify(label)}`, { hint: "lower-case letters, digits, '.', '_' and '-', at most 40" });
}

/** Lets one more passphrase or age key open the repository: the newest key, and through it all before. */
export async function addRecipient(installation: Installation, admin: Administration, request: { label: string; keptAt: string | null; opener: Opener }): Promise<KeyEnvelope> {
  const { repository, identity, secret } = admin;
  const { store, repositoryId, chain } = repository;
  return changingKeys(installation, admin, async () => {
    const there = await listEnvelopes(store, repositoryId, chain.newest);
    if (there.some(({ label }) => label === request.label))
      throw new HoldfastError("HF-USAGE", `${repository.name} has a recipient ${request.label} already`, { hint: "see 'holdfast key list'; give this one another --label" });
    const { opener } = request;
    if (opener.kind === "passphrase" && (opener.passphrase === secret || (await opensAny(repository, there, opener.passphrase))))
      throw new HoldfastError("HF-USAGE", `that passphrase opens ${repository.name} already`, { hint: "each recipient has a secret of its own, so that one can be removed" });
    const envelope = await writeEnvelope(store, repositoryId, identity, { ...request, addedAt: installation.clock.now().toISOString() });
    await recordChange(installation, admin, "key.added", { keyId: identity.keyId, label: envelope.label, recipient: envelope.recipient, envelopes: [envelope.object] });
    return envelope;
  });
}

async function opensAny({ store, repositoryId, chain }: WritableRepository, envelopes: readonly KeyEnvelope[], passphrase: string): Promise<boolean> {
  for (const envelope of envelopes) {
    if (envelope.recipient !== null || !(await isSound(store, repositoryId, chain.newest, envelope))) continue;
    if ((await unwrapIdentity(await readEnvelope(store, repositoryId, chain.newest, envelope.object), passphrase)) !== null) return true;
  }
  return false;
}

/** Takes a recipient away, from every key. Somebody must be left who can open the newest. Returns the age files that are gone. */
export async function removeRecipient(installation: Installation, admin: Administration, label: string): Promise<string[]> {
  const { repository } = admin;
  const { store, repositoryId, chain } = repository;
  return changingKeys(installation, admin, async () => {
    const newest = await listEnvelopes(store, repositoryId, chain.newest);
    const all = (await Promise.all(chain.links.map(async (link) => listEnvelopes(store, repositoryId, link)))).flat();
    const going = all.filter((envelope) => envelope.label === label).map(({ object }) => object);
    if (going.length === 0)
      throw new HoldfastError("HF-USAGE", `${repository.name} has no recipient ${JSON.stringify(label)}`, {
        hint: `choose one of: ${newest.map((envelope) => envelope.label).join(", ")}`,
      });
    const left = [];
    for (const envelope of newest) if (envelope.label !== label && (await isSound(store, repositoryId, chain.newest, envelope))) left.push(envelope);
    if (left.length === 0)
      throw new HoldfastError("HF-LAST-KEY", `${label} is the last that can open ${repository.name}`, { hint: "add another first: 'holdfast key add'", facts: { label } });
    await recordChange(installation, admin, "key.removed", { label, envelopes: going });
    // The statement last: as long as it is there, the same command finishes what was begun.
    for (const object of going) {
      await store.remove([object]);
      await store.remove([keys.envelopeStatement(object)]);
    }
    return going;
  });
}
