import { createHash, hkdfSync, randomBytes } from "node:crypto";
import { HoldfastError } from "../errors.ts";
import { seal, unseal } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";

/**
 * The keys a process holds for one repository. Without an identity it can seal (write backups) and, with a map key, read maps; it cannot open data.
 */
export interface KeyRing {
  /** The key that new data is sealed to. */
  readonly current: CurrentKey;
  /** Whether what is written now can be opened here. */
  readonly canOpenData: boolean;
  /** Whether anything can be opened here, if only what was written before a rotation. */
  readonly canOpenFormer: boolean;
  /** A new data key, sealed to the newest key: a rotation that happened meanwhile is followed. */
  sealNew(): Promise<SealedKey>;
  open(keyId: string, sealed: string): Promise<Buffer>;
  mapKey(id: string): MapKey | null;
  /** Holds a map key from now on: one that was just made. */
  addMapKey(key: MapKey): void;
  /** Learns a map key from its sealed form, where an identity is at hand. */
  learnMapKey(id: string, keyId: string, sealed: string): Promise<MapKey>;
}

interface CurrentKey {
  readonly keyId: string;
  readonly recipient: string;
}

export interface SealedKey {
  readonly keyId: string;
  readonly key: Buffer;
  readonly sealed: string;
}

export interface MapKey {
  readonly id: string;
  readonly key: Buffer;
  /** HMAC key for the names of objects. */
  readonly names: Buffer;
}

export function mapKeyFrom(key: Buffer): MapKey {
  return {
    id: createHash("sha256").update("holdfast/map-key/v1").update(key).digest("hex").slice(0, 16),
    key,
    names: Buffer.from(hkdfSync("sha256", key, "", "holdfast/names/v1", 32)),
  };
}

export function newMapKey(): MapKey {
  return mapKeyFrom(randomBytes(32));
}

export interface KeysAtHand {
  readonly current: CurrentKey;
  /** Asks the repository which key is the newest now. */
  readonly findCurrent: () => Promise<CurrentKey>;
  readonly identities: readonly RepositoryIdentity[];
  readonly mapKeys: readonly MapKey[];
}

export function createKeyRing({ current: opened, findCurrent, identities, mapKeys: known }: KeysAtHand): KeyRing {
  let current = opened;
  const mapKeys = new Map(known.map((key) => [key.id, key]));
  const unsealed = new Map<string, Promise<Buffer>>();
  const open = (keyId: string, sealed: string): Promise<Buffer> => {
    const identity = identities.find((candidate) => candidate.keyId === keyId);
    if (identity === undefined)
      throw new HoldfastError("HF-KEY", `the key ${keyId} is needed and not at hand`, {
        hint:
          identities.length === 0
            ? "give the passphrase: --key env:NAME or file:/path, or HOLDFAST_KEY"
            : "the passphrase given opens older keys only: it was removed, and the key rotated since; give one that opens the newest",
      });
    let key = unsealed.get(sealed);
    if (key === undefined) unsealed.set(sealed, (key = unseal(sealed, identity)));
    return key;
  };
  return {
    get current() {
      return current;
    },
    canOpenData: identities.some(({ keyId }) => keyId === opened.keyId),
    canOpenFormer: identities.length > 0,
    sealNew: async () => {
      current = await findCurrent();
      const key = randomBytes(32);
      return { keyId: current.keyId, key, sealed: await seal(key, current.recipient) };
    },
    open,
    mapKey: (id) => mapKeys.get(id) ?? null,
    addMapKey: (key) => void mapKeys.set(key.id, key),
    learnMapKey: async (id, keyId, sealed) => {
      const held = mapKeys.get(id);
      if (held !== undefined) return held;
      const learned = mapKeyFrom(await open(keyId, sealed));
      if (learned.id !== id) throw new HoldfastError("HF-KEY", `the map key ${id} is not what it says`);
      mapKeys.set(id, learned);
      return learned;
    },
  };
}
