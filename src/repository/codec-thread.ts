/** The thread side of `codec-threads.ts`: takes one job after the other, and hands over the memory of what came of it. */
import { parentPort } from "node:worker_threads";
import { loadDigest } from "./block-digest.ts";
import { codeOf, messageOf } from "../errors.ts";
import { checkExtent } from "./extent-check.ts";
import { writePieces } from "./frame-pieces.ts";
import type { FramePiece } from "./frame-pieces.ts";
import { asBuffer, checkDigest, encryptFrame, FrameFault, openFrame, packFrame } from "./frame-codec.ts";
import type { CodecAnswer, CodecJob } from "./codec-threads.ts";
import { free } from "../spare-memory.ts";

const digest = await loadDigest();

parentPort?.on("message", (job: CodecJob) => {
  const answer = work(job);
  parentPort?.postMessage(answer, memoryOf(answer));
});

function work(job: CodecJob): CodecAnswer {
  try {
    if (job.kind === "seal") return seal(job);
    return job.kind === "compare" ? compare(job) : open(job);
  } catch (error) {
    return error instanceof FrameFault ? { kind: "fault", message: error.message } : { kind: "failure", error };
  }
}

function seal({ plain, level, secrets, memory }: CodecJob & { kind: "seal" }): CodecAnswer {
  const packed = packFrame(plain, level);
  const frames = secrets.map((secret, i) => encryptFrame(packed, secret, memory[i]));
  if (packed.bytes !== plain) free(packed.bytes);
  return { kind: "sealed", frames, spare: plain };
}

function open(job: CodecJob & { kind: "open" | "check" | "write" }): CodecAnswer {
  const plain = openFrame(job.stored, job.facts, job.secret);
  try {
    if (job.kind === "write") return write(plain, job.pieces);
    if (job.kind === "check") return { kind: "checked", findings: checkExtent(asBuffer(plain), job.check, digest) };
    job.memory.set(plain);
    return { kind: "opened", plain: job.memory };
  } finally {
    for (const done of [plain, job.stored]) free(done);
  }
}

function write(plain: Uint8Array, pieces: readonly FramePiece[]): CodecAnswer {
  try {
    writePieces(plain, pieces);
    return { kind: "written" };
  } catch (error) {
    return { kind: "unwritten", code: codeOf(error), message: messageOf(error) };
  }
}

function compare({ stored, facts, index }: CodecJob & { kind: "compare" }): CodecAnswer {
  try {
    checkDigest(stored, facts, index);
    return { kind: "compared" };
  } finally {
    free(stored);
  }
}

function memoryOf(answer: CodecAnswer): ArrayBuffer[] {
  const arrays = answer.kind === "opened" ? [answer.plain] : answer.kind === "sealed" ? [answer.spare, ...answer.frames.map(({ stored }) => stored)] : [];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}
