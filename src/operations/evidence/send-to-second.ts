import { routeFailed, routeState, routeWorked } from "../../catalog/evidence-routes.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { sendEvidence } from "../../repository/second-place.ts";
import type { SecondPlace, SentEvidence } from "../../repository/second-place.ts";
import type { Journal } from "../record-run.ts";

/** Sends new evidence to the second place, and keeps how it went where `evidence status` and alerts find it. What is not sent yet stays in the log of this host, and is sent with the next. */
export async function sendToSecond({ evidence, catalog, clock }: Journal, openSecond: () => Promise<SecondPlace>): Promise<SentEvidence> {
  const known = routeState(catalog, "second");
  try {
    const sent = await sendEvidence(evidence, await openSecond(), known.sequence);
    routeWorked(catalog, { route: "second", sequence: sent.sequence, at: null }, clock.now());
    return sent;
  } catch (error) {
    const isOther = error instanceof HoldfastError && error.code === "HF-DIVERGED";
    routeFailed(catalog, { route: "second", error: messageOf(error), diverged: isOther }, clock.now());
    throw error;
  }
}
