import { z } from "zod";
import { DamageError } from "../errors.ts";
import { decodeDocument, parsePayload } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { parseEnvelope } from "./dsse.ts";
import { checkpointSchema } from "./evidence-heads.ts";
import type { EvidenceEntry } from "./evidence-entry.ts";
import { MOST_STAMP_BYTES } from "./time-stamp.ts";

/**
 * The entry `evidence.stamped`: a checkpoint with the time stamp that an authority gave for it, each byte for byte. What the checkpoint covers was there at the time of the stamp; what follows the entry was
 * written after it (docs/repository-format.md section 11).
 */
export const STAMPED = "evidence.stamped";

const factsSchema = z.looseObject({ checkpoint: z.base64(), stamp: z.base64().max(2 * MOST_STAMP_BYTES), at: z.iso.datetime() });

export interface StampedCheckpoint {
  /** The checkpoint as it lies in its repository. */
  readonly checkpoint: Buffer;
  readonly heads: readonly { readonly writer: string; readonly sequence: number; readonly sha256: string }[];
  /** The answer of the authority. */
  readonly stamp: Buffer;
  readonly at: string;
}

export function stampFacts({ checkpoint, stamp, at, ...told }: { checkpoint: Buffer; stamp: Buffer; at: Date } & Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...told, at: at.toISOString(), checkpoint: checkpoint.toString("base64"), stamp: stamp.toString("base64") };
}

/** What such an entry holds. Throws `DamageError` where that is not a checkpoint of its writer. Who signed the checkpoint is looked up by `findSigner`; what the stamp is worth, nobody has asked yet. */
export function readStamped({ writer, facts }: Pick<EvidenceEntry, "writer" | "facts">, findSigner: DocumentContext["findSigner"]): StampedCheckpoint {
  const parsed = factsSchema.safeParse(facts);
  if (!parsed.success) throw new DamageError(STAMPED, "it does not hold a checkpoint with a time stamp");
  const checkpoint = Buffer.from(parsed.data.checkpoint, "base64");
  const { object, repositoryId } = objectOf(checkpoint);
  const read = decodeDocument({ repositoryId, findSigner }, object, checkpoint);
  if (read.kind !== "checkpoint") throw new DamageError(STAMPED, `it holds a ${read.kind} and no checkpoint`);
  const { head, heads } = parsePayload(object, read.payload, checkpointSchema);
  if (read.signer !== writer || head.writer !== writer) throw new DamageError(STAMPED, "the checkpoint in it is of another writer");
  return { checkpoint, heads: [head, ...heads.filter((each) => each.writer !== writer)], stamp: Buffer.from(parsed.data.stamp, "base64"), at: parsed.data.at };
}

/** The checkpoint may be of any repository that the log is copied to. */
function objectOf(checkpoint: Buffer): { object: string; repositoryId: string } {
  const said: unknown = parseJsonOrNull(parseEnvelope(checkpoint)?.payload);
  const parsed = z.looseObject({ object: z.string(), repositoryId: z.string() }).safeParse(said);
  if (!parsed.success) throw new DamageError(STAMPED, "what it holds is no checkpoint");
  return parsed.data;
}

function parseJsonOrNull(bytes: Buffer | undefined): unknown {
  try {
    return JSON.parse(bytes?.toString("utf8") ?? "null");
  } catch {
    return null;
  }
}
