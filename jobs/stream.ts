import { beatRegularly } from "../src/operations/drill/heartbeat.ts";
import { runStream } from "../src/operations/wal/run-log.ts";
import { job } from "./job.ts";

await job(async ({ app, source, context }) => {
  const stopper = new AbortController();
  const signal = AbortSignal.any([context.signal, stopper.signal]);
  const beating = source.heartbeat ? beatRegularly(app, source, { ...context, signal }) : Promise.resolve();
  try {
    await runStream(app, source, context, { onPosition: () => undefined, wait: true });
  } finally {
    stopper.abort();
    await beating;
  }
});
