import pMap from "p-map";
import { DamageError } from "../errors.ts";
import { ObjectMissing } from "../storage/object-store.ts";
import { decodeTail, sha256, TAIL_BYTES } from "./container-format.ts";
import { readContents } from "./contents.ts";
import { parseEnvelope } from "./dsse.ts";
import { keys } from "./layout.ts";
import { listManifests } from "./manifest.ts";
import type { Repository } from "./repository.ts";

const READS_AT_ONCE = 16;
/** No document is longer; of what is, nothing is believed anyway. */
const MOST_DOCUMENT_BYTES = 16 << 20;
const PACK = /^sources\/[^/]+\/backups\/[^/]+\/(?:data|map)\//;
const CONTAINER = /^sources\/[^/]+\/wal\/(?!.*\.json$)/;
const DOCUMENT = /^(?:sources|leases|evidence)\/.*\.json$/;

/**
 * Everything one host has signed in a repository, by what a reader compares: the root of a container, the SHA-256 of a document. Packs are taken from the contents of the backups that have
 * a manifest of this host; those of an attempt without one are nobody's.
 */
export async function listSignedBy(repository: Repository, fingerprint: string): Promise<Map<string, string>> {
  const signed = new Map<string, string>();
  const single: string[] = [];
  for (const top of ["sources/", "leases/", "evidence/"])
    for await (const { key } of repository.store.list(top)) if (!PACK.test(key) && (CONTAINER.test(key) || DOCUMENT.test(key))) single.push(key);
  await pMap(
    single,
    async (object) => {
      const digest = await unlessGone(() => (DOCUMENT.test(object) ? documentOf(repository, object, fingerprint) : containerOf(repository, object, fingerprint)));
      if (digest !== null) signed.set(object, digest);
    },
    { concurrency: READS_AT_ONCE },
  );
  for (const source of await repository.store.listNames(keys.allSources())) await addPacks(repository, source.slice(0, -1), signed);
  return signed;
}

async function documentOf({ store }: Repository, object: string, fingerprint: string): Promise<string | null> {
  const { bytes, size } = await store.readTail(object, MOST_DOCUMENT_BYTES);
  return size === bytes.length && parseEnvelope(bytes)?.keyId === fingerprint ? sha256(bytes).toString("hex") : null;
}

async function containerOf({ store }: Repository, object: string, fingerprint: string): Promise<string | null> {
  const tail = decodeTail((await store.readTail(object, TAIL_BYTES)).bytes, object);
  return fingerprint.startsWith(tail.signer) ? tail.root.toString("hex") : null;
}

async function addPacks(repository: Repository, source: string, signed: Map<string, string>): Promise<void> {
  for (const { manifest } of (await listManifests(repository, source)).backups) {
    if (!signed.has(keys.manifest(source, manifest.id))) continue;
    for (const line of (await unlessGone(() => readContents(repository, manifest))) ?? []) signed.set(keys.backup(source, manifest.id) + line.name, line.root);
  }
}

/** Work goes on meanwhile: what expires is nobody's any more. And what is damaged is believed of nobody. */
async function unlessGone<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ObjectMissing || error instanceof DamageError) return null;
    throw error;
  }
}
