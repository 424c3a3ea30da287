import type { BundlePredicate, WriterState } from "../repository/evidence-bundle.ts";
import { isConsistent, isIncluded } from "../repository/merkle.ts";
import { entryName, shortKey } from "./bundle-findings.ts";
import type { BundleFindings } from "./bundle-findings.ts";
import type { StampReading } from "./bundle-stamps.ts";

/** Whether the parts of logs in a bundle belong to the logs that its statement, its checkpoints and earlier bundles tell of. */

/** Entries of one writer without a gap. `last` is the sequence of the last one read, `first - 1` before there is one. */
export interface Run {
  readonly writer: string;
  readonly first: number;
  last: number;
  lastDigest: string | null;
}

export interface Checkpoint {
  readonly where: string;
  readonly repositoryId: string;
  readonly object: string;
  readonly signer: string;
  readonly head: Head;
  readonly heads: readonly Head[];
}

interface Head {
  readonly writer: string;
  readonly sequence: number;
  readonly sha256: string;
}

interface Inclusion {
  readonly writer: string;
  readonly sequence: number;
  readonly proof: readonly string[];
}

interface Consistency {
  readonly writer: string;
  readonly size: number;
  readonly root: string;
  readonly proof: readonly string[];
}

export interface BundleLogs {
  readonly statement: BundlePredicate;
  readonly stamps: StampReading;
  readonly runs: readonly Run[];
  readonly inclusions: readonly Inclusion[];
  readonly checkpoints: readonly Checkpoint[];
}

/** Every run and every head that a checkpoint names must be in the log as the statement has it; and what was exported without a selection must be all of it. */
export function judgeRuns({ statement, stamps, runs, inclusions, checkpoints }: BundleLogs, findings: BundleFindings): void {
  const states = new Map(statement.writers.map((state) => [state.writer, state]));
  const proofs = new Map(inclusions.map((inclusion) => [`${inclusion.writer}/${inclusion.sequence}`, inclusion]));
  const judge = (where: string, head: Head): void => {
    const reason = problemWithHead(head, states.get(head.writer), proofs.get(`${head.writer}/${head.sequence}`));
    if (reason !== null) findings.invalid(where, reason);
  };
  for (const { writer, first, last, lastDigest } of runs) {
    if (lastDigest === null) findings.invalid(`the run from ${entryName(writer, first)}`, "there are no entries in it");
    else judge(entryName(writer, last), { writer, sequence: last, sha256: lastDigest });
  }
  for (const { where, signer, head, heads } of checkpoints) {
    if (signer !== head.writer) findings.invalid(where, "it was not signed by the writer that it is of");
    for (const each of [head, ...heads]) judge(`${where}: ${entryName(each.writer, each.sequence)}`, each);
  }
  stamps.judge(statement.writers, (where, head) => judge(`${where}: what is stamped, ${entryName(head.writer, head.sequence)}`, head));
  for (const [writer, own] of Map.groupBy(runs, (run) => run.writer))
    if (own.some((run, i) => run.first <= (own[i - 1]?.last ?? 0))) findings.invalid(`the entries of ${shortKey(writer)}`, "they are not in their order, or are there twice");
  const { from, to, source } = statement.selection;
  if (from !== null || to !== null || source !== null) return;
  for (const { writer, size } of statement.writers) {
    const own = runs.filter((run) => run.writer === writer);
    if (own.length !== 1 || own[0]?.first !== 1 || own[0].last !== size) findings.invalid(`the log of ${shortKey(writer)}`, `it has ${size} entries, and not all of them are here`);
  }
}

function problemWithHead({ sequence, sha256 }: Head, state: WriterState | undefined, inclusion: Inclusion | undefined): string | null {
  if (state === undefined) return "the bundle says nothing of the log of its writer";
  if (sequence > state.size) return `the log of its writer ends before it, with entry ${state.size}: its end is missing`;
  if (inclusion === undefined) return "the proof that it is in the log is missing";
  if (sequence === state.size && sha256 !== state.head) return "the log ends with another content";
  const proof = { entryDigest: bytes(sha256), index: sequence - 1, size: state.size, root: bytes(state.root), proof: inclusion.proof.map(bytes) };
  return isIncluded(proof) ? null : "it is not in the log that was signed";
}

/** What was known before of the logs: the last line of an earlier or later bundle, signed by a known key. */
export interface KnownLogs {
  readonly name: string;
  readonly statement: BundlePredicate;
}

/** A bundle that was taken before what is known is a replay; one that was taken later must contain all of that, unchanged. */
export function compareWithKnown(
  { statement, consistencies }: { statement: BundlePredicate; consistencies: readonly Consistency[] },
  known: KnownLogs,
  findings: BundleFindings,
): void {
  if (known.statement.repositoryId !== statement.repositoryId) return findings.invalid(known.name, "it is of another repository");
  for (const past of known.statement.writers) {
    const where = `the log of ${shortKey(past.writer)}, against ${known.name}`;
    const state = statement.writers.find(({ writer }) => writer === past.writer);
    if (state === undefined) findings.invalid(where, "it is no longer there");
    else if (state.size < past.size)
      findings.invalid(where, `it had ${past.size} entries on ${known.statement.exportedAt}, and here it has ${state.size}: this bundle is older, or its end was cut off`);
    else compareGrowth({ where, state, past, consistency: consistencies.find(({ writer, size }) => writer === past.writer && size === past.size) }, findings);
  }
}

function compareGrowth(
  { where, state, past, consistency }: { where: string; state: WriterState; past: WriterState; consistency: Consistency | undefined },
  findings: BundleFindings,
): void {
  const grown = { from: past.size, first: bytes(past.root), size: state.size, second: bytes(state.root) };
  if (state.size === past.size) {
    if (state.root !== past.root) findings.invalid(where, "it has another content");
  } else if (consistency === undefined) findings.open(where, "the proof that it only grew is not in the bundle: export it with '--since' and that file");
  else if (!isConsistent({ ...grown, proof: consistency.proof.map(bytes) })) findings.invalid(where, "what was known of it is not the beginning of what is here");
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}
