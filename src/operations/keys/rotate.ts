import { HoldfastError } from "../../errors.ts";
import { findOpeners, rotateKey } from "../../repository/key-rotation.ts";
import type { Administration } from "../administration.ts";
import type { Installation } from "../installation.ts";
import { changingKeys, recordChange } from "./key-change.ts";

export interface RotateResult {
  readonly repository: string;
  readonly from: string;
  readonly keyId: string;
  readonly recipient: string;
  /** Labels of those who open the new key. */
  readonly recipients: readonly string[];
}

/**
 * Puts a new key in the place of the newest. Each of its recipients gets the new one; of passphrases that takes the passphrase itself, so whoever's is not among `passphrases` must be removed
 * first, or give it.
 */
export async function rotate(installation: Installation, admin: Administration, passphrases: readonly string[]): Promise<RotateResult> {
  const { repository, identity, secret } = admin;
  const { store, repositoryId, chain } = repository;
  return changingKeys(installation, admin, async () => {
    const { openers, unknown } = await findOpeners(store, repositoryId, chain.newest, [secret, ...passphrases]);
    if (unknown.length > 0)
      throw new HoldfastError("HF-KEY", `the passphrase of ${unknown.join(", ")} is needed to give the new key to ${unknown.length === 1 ? "it" : "them"}`, {
        hint: "give it too: --passphrase env:NAME or file:/path (repeatable); or take them away first: 'holdfast key remove', and add them again afterwards",
        facts: { labels: unknown },
      });
    if (openers.length === 0) throw new HoldfastError("HF-LAST-KEY", `nobody could open the new key of ${repository.name}`, { hint: "add a recipient first: 'holdfast key add'" });
    const made = await rotateKey({ store, repositoryId, link: chain.newest, identity, openers, now: installation.clock.now() });
    const recipients = made.envelopes.map(({ label }) => label);
    await recordChange(installation, admin, "key.rotated", { from: chain.newest.keyId, to: made.keyId, recipients, envelopes: made.envelopes.map(({ object }) => object) });
    return { repository: repository.name, from: chain.newest.keyId, keyId: made.keyId, recipient: made.recipient, recipients };
  });
}
