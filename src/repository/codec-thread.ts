/** The thread side of `codec-threads.ts`: takes one job after the other, and hands over the memory of what came of it. */
import { parentPort } from "node:worker_threads";
import { encryptFrame, FrameFault, openFrame, packFrame } from "./frame-codec.ts";
import type { CodecAnswer, CodecJob } from "./codec-threads.ts";

parentPort?.on("message", (job: CodecJob) => {
  const answer = work(job);
  parentPort?.postMessage(answer, memoryOf(answer));
});

function work(job: CodecJob): CodecAnswer {
  try {
    if (job.kind === "open") {
      job.memory.set(openFrame(job.stored, job.facts, job.secret));
      return { kind: "opened", plain: job.memory };
    }
    const packed = packFrame(job.plain, job.level);
    return { kind: "sealed", frames: job.secrets.map((secret, i) => encryptFrame(packed, secret, job.memory[i])), spare: job.plain };
  } catch (error) {
    return error instanceof FrameFault ? { kind: "fault", message: error.message } : { kind: "failure", error };
  }
}

function memoryOf(answer: CodecAnswer): ArrayBuffer[] {
  const arrays = answer.kind === "opened" ? [answer.plain] : answer.kind === "sealed" ? [answer.spare, ...answer.frames.map(({ stored }) => stored)] : [];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}
