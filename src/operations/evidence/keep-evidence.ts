import { messageOf } from "../../errors.ts";
import type { Installation } from "../installation.ts";
import { sendToSecond } from "./send-to-second.ts";
import { stampEvidence } from "./stamp-evidence.ts";

/** So soon is new evidence in the second place, and so soon is tried again what failed. */
const SEND_EVERY_MS = 5000;
const STAMP_EVERY_MS = 60_000;

/** Sends evidence to a second place and has it stamped, each by itself, until stopped. Nothing waits for either. */
export async function keepEvidence(installation: Installation, signal: AbortSignal, onTrouble: (what: string, reason: string) => void): Promise<void> {
  const { inventory, journal } = installation;
  await Promise.all([
    ...(inventory.evidence.second === null ? [] : [again(installation, SEND_EVERY_MS, "second", async () => sendToSecond(journal, installation.openSecond))]),
    ...(inventory.evidence.timestamps === null ? [] : [again(installation, STAMP_EVERY_MS, "timestamps", async () => stampEvidence(installation, { force: false, signal }))]),
  ]);

  async function again({ clock }: Installation, everyMs: number, what: string, act: () => Promise<unknown>): Promise<void> {
    let told = "";
    while (!signal.aborted) {
      try {
        await act();
        told = "";
      } catch (error) {
        // The same trouble is told once: it is an alert besides.
        const reason = messageOf(error);
        if (reason !== told) onTrouble(what, reason);
        told = reason;
      }
      await clock.sleep(everyMs, signal).catch(() => undefined);
    }
  }
}
