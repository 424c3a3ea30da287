import xxhash from "xxhash-wasm";

/** XXH64 with the digest seed of a chain: 64 bits that tell whether a block changed (docs/repository-format.md section 6). */
export type BlockDigest = (block: Uint8Array) => bigint;

export async function createBlockDigest(seed: bigint): Promise<BlockDigest> {
  const hash = await xxhash();
  return (block) => hash.h64Raw(block, seed);
}
