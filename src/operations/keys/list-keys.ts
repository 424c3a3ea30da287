import { isSound, listEnvelopes } from "../../repository/key-envelopes.ts";
import type { Repository } from "../../repository/repository.ts";

export interface KeyListing {
  readonly repository: string;
  readonly repositoryId: string;
  /** The newest key, to which new data is sealed. */
  readonly keyId: string;
  readonly recipient: string;
  /** Oldest first. */
  readonly keys: readonly { readonly keyId: string; readonly recipient: string; readonly createdAt: string }[];
  readonly recipients: readonly RecipientView[];
}

interface RecipientView {
  readonly label: string;
  readonly kind: "passphrase" | "recipient";
  readonly recipient: string | null;
  readonly keptAt: string | null;
  readonly addedAt: string;
  /** False where its age file is missing or damaged: then it opens nothing. */
  readonly whole: boolean;
}

/** Who can open a repository. Needs no secret: all of it is signed, and none of it is one. */
export async function listKeys({ name, store, repositoryId, chain }: Repository): Promise<KeyListing> {
  const { newest, links } = chain;
  const recipients: RecipientView[] = [];
  for (const envelope of await listEnvelopes(store, repositoryId, newest)) {
    const { label, recipient, keptAt, addedAt } = envelope;
    const kind = recipient === null ? "passphrase" : "recipient";
    recipients.push({ label, kind, recipient, keptAt, addedAt, whole: await isSound(store, repositoryId, newest, envelope) });
  }
  return {
    repository: name,
    repositoryId,
    keyId: newest.keyId,
    recipient: newest.recipient,
    keys: links.map(({ keyId, recipient, createdAt }) => ({ keyId, recipient, createdAt })),
    recipients: recipients.toSorted((a, b) => (a.addedAt < b.addedAt ? -1 : 1)),
  };
}
