/** The thread side of `codec-threads.ts`: takes one job after the other, and hands over the memory of what came of it. */
import { parentPort } from "node:worker_threads";
import { loadDigest } from "./block-digest.ts";
import { codeOf, messageOf } from "../errors.ts";
import { checkExtent } from "./extent-check.ts";
import { openTouched, writePieces } from "./frame-pieces.ts";
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
    if (job.kind === "open") return open(job);
    if (job.kind === "check") return check(job);
    return job.kind === "write" ? write(job) : compare(job);
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

function open({ stored, facts, secret, memory }: CodecJob & { kind: "open" }): CodecAnswer {
  try {
    return { kind: "opened", plain: openFrame(stored, facts, secret, memory) };
  } finally {
    free(stored);
  }
}

/** Plain bytes that leave no thread: memory for them is kept. */
let checked = Buffer.alloc(0);

function check({ stored, facts, secret, check: against }: CodecJob & { kind: "check" }): CodecAnswer {
  if (checked.length < facts.plainLength) checked = Buffer.allocUnsafeSlow(facts.plainLength);
  try {
    return { kind: "checked", findings: checkExtent(asBuffer(openFrame(stored, facts, secret, checked.subarray(0, facts.plainLength))), against, digest) };
  } finally {
    free(stored);
  }
}

function write({ stored, facts, secret, pieces }: CodecJob & { kind: "write" }): CodecAnswer {
  const parts = openTouched(stored, facts, secret, pieces);
  try {
    writePieces(parts, pieces);
    return { kind: "written" };
  } catch (error) {
    return { kind: "unwritten", code: codeOf(error), message: messageOf(error) };
  } finally {
    for (const done of [...parts.map(({ bytes }) => bytes), stored]) free(done);
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
