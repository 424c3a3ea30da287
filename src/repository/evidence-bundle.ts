import { z } from "zod";
import { STATEMENT_TYPE } from "./evidence-entry.ts";
import { sha256 } from "./container-format.ts";
import { signEnvelope } from "./dsse.ts";
import type { SigningKey } from "./signing.ts";

/**
 * The lines of an evidence bundle (docs/evidence-bundle.md): entries and checkpoints as they lie in the repository, between them lines that say what they are, and at the end a signed statement over
 * all lines before it, with the size and root of the log of every writer.
 */
export const BUNDLE_HEADER = { holdfast: "evidence-bundle", format: 1 } as const;
const PREDICATE_TYPE = "urn:holdfast:evidence-bundle:v1";

/** No line is longer: an entry has at most 16 MiB, a file of a report is taken up to 96. */
export const MOST_LINE_BYTES = 128 << 20;
export const MOST_FILE_BYTES = 96 << 20;

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const position = z.number().int().positive();
/** A tree is at most 31 levels high. */
const proof = z.array(digest).max(64);

export const bundleLineSchema = z.union([
  z.strictObject({ holdfast: z.literal(BUNDLE_HEADER.holdfast), format: z.number() }),
  /** Entries of one writer, from `first` on without a gap, follow. */
  z.strictObject({ run: z.strictObject({ writer: digest, first: position }) }),
  /** That an entry, the last of a run, is in the log of its writer. */
  z.strictObject({ inclusion: z.strictObject({ writer: digest, sequence: position, proof }) }),
  /** That the log of a writer only grew since it had `size` entries and that root. */
  z.strictObject({ consistency: z.strictObject({ writer: digest, size: position, root: digest, proof }) }),
  z.strictObject({ file: z.strictObject({ name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/), base64: z.base64() }) }),
]);
export type BundleLine = z.infer<typeof bundleLineSchema>;

const writerSchema = z.strictObject({ writer: digest, size: position, head: digest, root: digest });
export type WriterState = z.infer<typeof writerSchema>;

const predicateSchema = z.strictObject({
  repositoryId: z.string(),
  exportedAt: z.iso.datetime(),
  selection: z.strictObject({ from: z.iso.datetime().nullable(), to: z.iso.datetime().nullable(), source: z.string().nullable() }),
  writers: z.array(writerSchema),
});
export type BundlePredicate = z.infer<typeof predicateSchema>;

export const bundleStatementSchema = z.strictObject({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.tuple([z.strictObject({ name: z.literal("bundle"), digest: z.strictObject({ sha256: digest }) })]),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: predicateSchema,
});

export function encodeLine(line: BundleLine): Buffer {
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

/** The last line. `contentDigest`: SHA-256, hex, of all bytes before it. */
export function signBundle(signer: SigningKey, contentDigest: string, predicate: BundlePredicate): Buffer {
  const subject = [{ name: "bundle", digest: { sha256: contentDigest } }];
  return signEnvelope(STATEMENT_TYPE, Buffer.from(JSON.stringify({ _type: "https://in-toto.io/Statement/v1", subject, predicateType: PREDICATE_TYPE, predicate })), signer);
}

/** Public keys as `evidence key` prints them: one a line, in base64, and behind it whose it is. Null for a line that is none. */
export function parseKeyLine(line: string): string | null {
  return /^([A-Za-z0-9+/]{43}=)(?:\s|$)/.exec(line)?.[1] ?? null;
}

export function digestOf(bytes: Uint8Array): string {
  return sha256(bytes).toString("hex");
}
