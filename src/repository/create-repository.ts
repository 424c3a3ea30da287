import { randomUUID } from "node:crypto";
import { HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { generateIdentity, wrapIdentity } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { DESCRIPTOR_KEY, keys } from "./layout.ts";

export interface CreateOptions {
  readonly name: string;
  readonly store: ObjectStore;
  readonly passphrase: string;
  readonly now: Date;
}

/** Makes a repository where there is none. The descriptor comes last: without it there is no repository, and nothing that a second attempt minds. */
export async function createRepository({ name, store, passphrase, now }: CreateOptions): Promise<{ repositoryId: string; keyId: string }> {
  const names = await store.listNames("");
  if (names.includes(DESCRIPTOR_KEY)) throw new HoldfastError("HF-USAGE", `${name} is a repository already (${store.url})`, { hint: "use it as it is, or choose another folder" });
  if (names.some((entry) => !["keys/", "hosts/"].includes(entry)))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${store.url} holds other things (${names.slice(0, 3).join(", ")})`, { hint: "choose an empty folder" });
  const identity = await generateIdentity();
  const repositoryId = randomUUID();
  const context: DocumentContext = { store, repositoryId, findSigner: () => identity.admin };
  const at = now.toISOString();
  await addEnvelope(context, identity, passphrase, at);
  await writeDocument(
    context,
    keys.keyDocument(identity.keyId),
    "key",
    { recipient: identity.recipient, admin: identity.admin.publicKey, createdAt: at, previous: null },
    identity.admin,
  );
  const outcome = await writeDocument(context, DESCRIPTOR_KEY, "repository", { createdAt: at, keyId: identity.keyId }, identity.admin);
  if (outcome === "exists") throw new HoldfastError("HF-BUSY", `somebody else is creating ${store.url} right now`);
  return { repositoryId, keyId: identity.keyId };
}

async function addEnvelope(context: DocumentContext, identity: RepositoryIdentity, passphrase: string, at: string): Promise<void> {
  const file = await wrapIdentity(identity, passphrase);
  const key = keys.keyEnvelope(identity.keyId, `passphrase-${randomUUID().slice(0, 8)}`, 1);
  const writer = await context.store.create(key);
  try {
    await writer.write(file);
    await writer.commit();
  } finally {
    await writer.abort();
  }
  await writeDocument(context, keys.envelopeStatement(key), "envelope", { sha256: sha256(file).toString("hex"), label: "passphrase", addedAt: at }, identity.admin);
}
