import xxhash from "xxhash-wasm";

/** XXH64 with the digest seed of a chain: 64 bits that tell whether a block changed (docs/repository-format.md section 6). */
export type BlockDigest = (block: Uint8Array) => bigint;
export type SeededDigest = (block: Uint8Array, seed: bigint) => bigint;

let loading: ReturnType<typeof xxhash> | null = null;

export async function loadDigest(): Promise<SeededDigest> {
  loading ??= xxhash();
  const hash = await loading;
  return (block, seed) => hash.h64Raw(block, seed);
}

export async function createBlockDigest(seed: bigint): Promise<BlockDigest> {
  const digest = await loadDigest();
  return (block) => digest(block, seed);
}
