import { isSameBackup, learnMapKeys, readChain } from "../../repository/manifest.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import { ChainReader, isOfThisCopy } from "../../repository/map-reader.ts";
import type { CopyView } from "../copy-view.ts";

/** A backup opened for reading, with the other copies of it for what this one cannot give. */
export async function openChain({ view, stored }: { readonly view: CopyView; readonly stored: StoredManifest }): Promise<ChainReader> {
  const chain = await readChain(view.repository, stored);
  await learnMapKeys(view.repository, chain);
  const others: ChainReader[] = [];
  for (const other of view.others) {
    const same = await sameChain(other, chain);
    if (same !== null) others.push(new ChainReader(other.repository, same));
  }
  return new ChainReader(view.repository, chain, { others, onFallback: (object, reason, servedBy) => view.noteFallback(object, reason, servedBy) });
}

/** The same backups in another copy, or null where it does not hold them all: then it cannot help. */
async function sameChain(view: CopyView, chain: ReadonlyMap<string, StoredManifest>): Promise<ReadonlyMap<string, StoredManifest> | null> {
  const found = new Map<string, StoredManifest>();
  for (const [id, stored] of chain) {
    const same = view.listing.backups.find(({ manifest }) => isSameBackup(manifest, stored.manifest));
    if (same === undefined) return null;
    found.set(id, same);
  }
  try {
    await learnMapKeys(view.repository, found);
    return found;
  } catch (error) {
    if (!isOfThisCopy(error)) throw error;
    return null;
  }
}
