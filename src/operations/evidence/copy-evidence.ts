import { settledWithin } from "../../clock.ts";
import { routeFailed, routeState } from "../../catalog/evidence-routes.ts";
import { HoldfastError } from "../../errors.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { SecondPlace } from "../../repository/second-place.ts";
import type { Journal } from "../record-run.ts";
import { sendToSecond } from "./send-to-second.ts";

/** Where evidence goes besides the log of this host. */
interface EvidencePlaces {
  /** Of all repositories. */
  readonly names: readonly string[];
  readonly repository: (name: string) => Promise<WritableRepository>;
  /** Null: there is no second place. */
  readonly openSecond: (() => Promise<SecondPlace>) | null;
}

/** Brings what is new to every repository and to the second place. One that is away is told of, and gets what it lacks with whatever comes later. */
export async function copyEvidence(journal: Journal, { names, repository, openSecond }: EvidencePlaces, onNotice: (text: string) => void): Promise<void> {
  await Promise.all(names.map(async (name) => copyTo(name, journal, repository, onNotice)));
  if (openSecond !== null) await sendWithin(journal, openSecond, onNotice);
}

/** One that is away keeps nobody from the others. */
async function copyTo(name: string, { evidence }: Journal, repository: EvidencePlaces["repository"], onNotice: (text: string) => void): Promise<void> {
  try {
    await evidence.copyTo(await repository(name));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    onNotice(`evidence is not yet in ${name}: ${error.message}`);
  }
}

/** Longer nobody who has done his work waits for it. */
const SECOND_WITHIN_MS = 5000;

/** A second place that is away costs a run some seconds once, and then a minute nothing: it gets what it lacks with whatever comes later. */
async function sendWithin(journal: Journal, openSecond: () => Promise<SecondPlace>, onNotice: (text: string) => void): Promise<void> {
  const { catalog, clock } = journal;
  const { failingSince, triedAt } = routeState(catalog, "second");
  if (failingSince !== null && triedAt !== null && clock.now().getTime() - Date.parse(triedAt) < 60_000) return;
  const sending = sendToSecond(journal, openSecond);
  try {
    if (!(await settledWithin(clock, SECOND_WITHIN_MS, [sending]))) throw new HoldfastError("HF-TIMEOUT", `it did not answer within ${SECOND_WITHIN_MS / 1000} s`);
    await sending;
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.code === "HF-TIMEOUT") routeFailed(catalog, { route: "second", error: error.message, diverged: false }, clock.now());
    onNotice(`evidence is not yet in its second place: ${error.message}`);
  }
}
