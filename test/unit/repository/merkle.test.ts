import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { isConsistent, isIncluded, leafHash, MerkleTree } from "../../../src/repository/merkle.ts";

const digest = (n: number): Buffer => createHash("sha256").update(String(n)).digest();

function treeOf(size: number): MerkleTree {
  const tree = new MerkleTree();
  for (let n = 0; n < size; n++) tree.append(digest(n));
  return tree;
}

/** As RFC 6962 section 2.1 defines it, word for word. */
function rootByDefinition(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first !== undefined && leaves.length === 1) return leafHash(first);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return createHash("sha256")
    .update(Buffer.of(1))
    .update(rootByDefinition(leaves.slice(0, split)))
    .update(rootByDefinition(leaves.slice(split)))
    .digest();
}

test("the root is what RFC 6962 defines, for every size and every size before it", () => {
  const tree = treeOf(20);
  for (let size = 1; size <= 20; size++) expect(tree.root(size)).toEqual(rootByDefinition(Array.from({ length: size }, (_, n) => digest(n))));
});

test("every leaf of every size is proved to be in its place, and in no other", () => {
  for (let size = 1; size <= 20; size++) {
    const tree = treeOf(size);
    for (let index = 0; index < size; index++) {
      const claim = { entryDigest: digest(index), index, size, root: tree.root(), proof: tree.inclusion(index) };
      expect(isIncluded(claim)).toBe(true);
      expect(isIncluded({ ...claim, entryDigest: digest(99) })).toBe(false);
      expect(isIncluded({ ...claim, index: index + 1 })).toBe(false);
      expect(isIncluded({ ...claim, proof: claim.proof.slice(1) })).toBe(size === 1);
      expect(isIncluded({ ...claim, proof: [...claim.proof, digest(1)] })).toBe(false);
    }
  }
});

test("that a tree only grew is proved from every size to every other, and not of a tree that was changed", () => {
  for (let size = 1; size <= 20; size++) {
    const tree = treeOf(size);
    for (let from = 1; from <= size; from++) {
      const claim = { from, first: treeOf(from).root(), size, second: tree.root(), proof: tree.consistency(from) };
      expect(isConsistent(claim)).toBe(true);
      expect(isConsistent({ ...claim, first: digest(99) })).toBe(false);
      expect(isConsistent({ ...claim, second: digest(99) })).toBe(false);
      expect(isConsistent({ ...claim, proof: [...claim.proof, digest(1)] })).toBe(false);
    }
  }
});
