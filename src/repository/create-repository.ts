import { randomUUID } from "node:crypto";
import { HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { generateIdentity } from "./identity.ts";
import { writeEnvelope } from "./key-envelopes.ts";
import { DESCRIPTOR_KEY, keys } from "./layout.ts";

export interface CreateOptions {
  readonly name: string;
  readonly store: ObjectStore;
  readonly passphrase: string;
  /** Where the passphrase is kept, in words; for the recovery sheet. */
  readonly keptAt?: string;
  readonly now: Date;
}

/** Makes a repository where there is none. The descriptor comes last: without it there is no repository, and nothing that a second attempt minds. */
export async function createRepository({ name, store, passphrase, keptAt, now }: CreateOptions): Promise<{ repositoryId: string; keyId: string; envelope: string }> {
  const names = await store.listNames("");
  if (names.includes(DESCRIPTOR_KEY)) throw new HoldfastError("HF-USAGE", `${name} is a repository already (${store.url})`, { hint: "use it as it is, or choose another folder" });
  if (names.some((entry) => !["keys/", "hosts/"].includes(entry)))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${store.url} holds other things (${names.slice(0, 3).join(", ")})`, { hint: "choose an empty folder" });
  const identity = await generateIdentity();
  const repositoryId = randomUUID();
  const context: DocumentContext = { store, repositoryId, findSigner: () => identity.admin };
  const at = now.toISOString();
  const envelope = await writeEnvelope(store, repositoryId, identity, { label: "passphrase", keptAt: keptAt ?? null, opener: { kind: "passphrase", passphrase }, addedAt: at });
  await writeDocument(
    context,
    keys.keyDocument(identity.keyId),
    "key",
    { recipient: identity.recipient, admin: identity.admin.publicKey, createdAt: at, previous: null },
    identity.admin,
  );
  const outcome = await writeDocument(context, DESCRIPTOR_KEY, "repository", { createdAt: at, keyId: identity.keyId }, identity.admin);
  if (outcome === "exists") throw new HoldfastError("HF-BUSY", `somebody else is creating ${store.url} right now`);
  return { repositoryId, keyId: identity.keyId, envelope: envelope.object };
}
