import { randomUUID } from "node:crypto";
import { systemClock } from "../clock.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import { ObjectMissing, ObjectTruncated, putIfAbsent } from "./object-store.ts";
import type { ObjectStore } from "./object-store.ts";

/** What a live store was found to do of what a repository needs. */
export interface ProbeFinding {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "fail";
  readonly detail: string;
  readonly hint: string | null;
}

/** A promise that the store did not keep. */
class Broken extends Error {
  override readonly name = "Broken";
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

interface Step {
  readonly name: string;
  readonly does: string;
  readonly outcome?: "warning";
  try(store: ObjectStore, folder: string): Promise<void>;
}

/** Of several parts, where a store writes in parts. */
const LARGE_BYTES = (8 << 20) + 1;
const UNLOCKED = "free";
const RACERS = 8;
const ROUNDS = 3;
const FAR_FUTURE = new Date("9999-12-31T00:00:00Z");
const OVERWRITES =
  "a repository needs a store that honours 'If-None-Match: *', so that no host can overwrite what another wrote: Amazon S3 does, and Ceph from version 20 on; behind a gateway, ask whether it passes the header on";

/**
 * Tries what the store contract promises on a live store, in a folder of its own that it clears away. A store is believed nothing: some accept the
 * header that forbids overwriting, and overwrite.
 */
export async function probeStore(store: ObjectStore): Promise<ProbeFinding[]> {
  const folder = `probe/${randomUUID()}/`;
  const findings: ProbeFinding[] = [];
  const written = await take(WRITING, store, folder);
  findings.push(written);
  // What cannot even be written cannot be asked about anything else.
  if (written.outcome === "ok") for (const step of store.lock === null ? STEPS : [...STEPS, LOCKING]) findings.push(await take(step, store, folder));
  await clear(store, folder).catch((error: unknown) => {
    if (written.outcome === "ok") findings.push({ name: "clearing up", outcome: "fail", detail: `${folder} could not be removed: ${messageOf(error)}`, hint: "remove it by hand" });
  });
  return findings;
}

/** Refuses a store that breaks a promise. */
export async function requireSoundStore(store: ObjectStore): Promise<void> {
  const failed = (await probeStore(store)).find(({ outcome }) => outcome === "fail");
  if (failed === undefined) return;
  throw new HoldfastError("HF-CHECK", `${store.url} cannot hold a repository: ${failed.name}: ${failed.detail}`, {
    ...(failed.hint === null ? {} : { hint: failed.hint }),
    facts: { repository: store.url, promise: failed.name },
  });
}

async function take(step: Step, store: ObjectStore, folder: string): Promise<ProbeFinding> {
  try {
    await step.try(store, folder);
    return { name: step.name, outcome: "ok", detail: step.does, hint: null };
  } catch (error) {
    const hint = error instanceof HoldfastError || error instanceof Broken ? error.hint : null;
    return { name: step.name, outcome: step.outcome ?? "fail", detail: messageOf(error), hint };
  }
}

async function clear(store: ObjectStore, folder: string): Promise<void> {
  await store.sweep(folder, FAR_FUTURE);
  const left: string[] = [];
  for await (const { key } of store.list(folder)) left.push(key);
  await store.remove(left);
}

function expect(isSo: boolean, otherwise: string, hint = "this store cannot be relied upon: use another, or ask its maker"): void {
  if (!isSo) throw new Broken(otherwise, hint);
}

const WRITING: Step = {
  name: "writing",
  does: "an object is written and read back",
  try: async (store, folder) => {
    expect((await putIfAbsent(store, `${folder}digits`, Buffer.from("0123456789"))) === "created", "a new object was said to be there already");
    expect((await store.read(`${folder}digits`)).toString() === "0123456789", "what was read is not what was written");
  },
};

const STEPS: readonly Step[] = [
  {
    // First: where it fails, so may others for its sake.
    name: "no lock by default",
    does: "an object that nobody locked can be removed",
    try: async (store, folder) => {
      await putIfAbsent(store, folder + UNLOCKED, Buffer.from("free"));
      const held = await store.remove([folder + UNLOCKED]);
      expect(
        held.length === 0,
        "an object that was just written is locked: the bucket locks by default",
        "take the default retention off it: leases and parts of WAL must go at once",
      );
    },
  },
  {
    name: "create if absent",
    does: "a key that is taken stays as it is, and the writer is told",
    try: async (store, folder) => {
      expect((await putIfAbsent(store, `${folder}digits`, Buffer.from("overwritten"))) === "exists", "a second write of the same key was accepted", OVERWRITES);
      expect((await store.read(`${folder}digits`)).toString() === "0123456789", "a refused write changed the object", OVERWRITES);
    },
  },
  {
    name: "create if absent, large",
    does: "the same for objects that are written in parts",
    try: async (store, folder) => {
      const key = `${folder}large`;
      expect((await putIfAbsent(store, key, Buffer.alloc(LARGE_BYTES, 1))) === "created", "a new object was said to be there already");
      expect((await store.size(key)) === LARGE_BYTES, "a large object has not the size it was written with");
      expect((await putIfAbsent(store, key, Buffer.alloc(LARGE_BYTES, 2))) === "exists", "a second upload to the same key was accepted", OVERWRITES);
      expect((await store.readRange(key, LARGE_BYTES - 1, 1))[0] === 1, "a refused upload changed the object", OVERWRITES);
    },
  },
  {
    name: "racing writers",
    does: `of ${RACERS} writers of one key at once exactly one creates it, in each of ${ROUNDS} rounds`,
    try: async (store, folder) => {
      for (let round = 0; round < ROUNDS; round++) await race(store, `${folder}race/${round}`);
    },
  },
  { name: "reading pieces", does: "ranges and tails are exact; an end that is passed, and an object that is missing, are told apart", try: readPieces },
  {
    name: "listing",
    does: "what was written is listed at once, whole and by folder",
    try: async (store, folder) => {
      const listed: string[] = [];
      // That what was removed is gone is a matter of its own, below.
      for await (const { key, size } of store.list(folder)) if (key !== folder + UNLOCKED) listed.push(`${key.slice(folder.length)} ${size}`);
      const races = Array.from({ length: ROUNDS }, (_, round) => `race/${round} 1`);
      expect(listed.join() === ["digits 10", `large ${LARGE_BYTES}`, ...races].join(), `a listing shows other objects than were written: ${listed.join(", ")}`);
      const names = (await store.listNames(folder)).filter((name) => name !== UNLOCKED);
      expect(names.join() === "digits,large,race/", "a listing by folder shows other names than were written");
    },
  },
  {
    name: "unfinished writes",
    does: "what a killed process leaves behind is found and removed",
    // Not a matter of safety: a rule of the bucket that ends uploads after a day does it too.
    outcome: "warning",
    try: async (store, folder) => {
      const writer = await store.create(`${folder}unfinished`);
      try {
        await writer.write(Buffer.alloc(LARGE_BYTES));
        const swept = await store.sweep(folder, FAR_FUTURE);
        expect(
          swept === 1,
          "an unfinished upload is not listed",
          "give the bucket a rule that ends incomplete uploads after a day, and check that the credentials may list uploads",
        );
      } finally {
        await writer.abort();
      }
    },
  },
  {
    name: "deleting",
    does: "what is removed is gone at once, and its key is free",
    try: async (store, folder) => {
      await store.remove([`${folder}digits`, `${folder}never-there`]);
      expect((await store.size(`${folder}digits`)) === null, "a removed object is still there");
      expect((await store.listNames(folder)).join() === "large,race/", "a removed object is still listed");
      expect((await putIfAbsent(store, `${folder}digits`, Buffer.from("again"))) === "created", "the key of a removed object is not free");
    },
  },
];

/** Long enough for a store whose clock is a little ahead of ours, and not longer than somebody waits for a check. */
const LOCKED_MS = 6000;
const LONGER_MS = 2000;
const UNLOCK_HINT = "Object Lock does not hold here: leave objectLock out of the inventory, or use a store that enforces it";

const LOCKING: Step = {
  name: "locking",
  does: "an object is locked for as long as it was asked, cannot be deleted before, and what was not to be locked is not",
  try: async (store, folder) => {
    const { lock } = store;
    if (lock === null) return;
    await lock.assertEnforced();
    await putIfAbsent(store, `${folder}not-locked`, Buffer.from("free"));
    expect((await lock.lockedUntil(`${folder}not-locked`)) === null, "an object is locked that nobody locked", "take the default retention off the bucket");
    const key = `${folder}locked`;
    const until = new Date(systemClock.now().getTime() + LOCKED_MS);
    const writer = await store.create(key, { lockUntil: until });
    try {
      await writer.write(Buffer.from("locked"));
      expect((await writer.commit()) === "created", "a new object was said to be there already");
    } finally {
      await writer.abort();
    }
    expect(isAt(await lock.lockedUntil(key), until), "a lock reads back otherwise than it was set", UNLOCK_HINT);
    await expectHeld(store, key);
    const longer = new Date(until.getTime() + LONGER_MS);
    await lock.extend([key], longer);
    expect(isAt(await lock.lockedUntil(key), longer), "a lock that was made longer is not", UNLOCK_HINT);
    await expectHeld(store, key);
    // Nothing is left behind: what is locked is waited for.
    await systemClock.sleep(Math.max(0, longer.getTime() - systemClock.now().getTime()) + ROUNDING_MS);
    expect((await store.remove([key])).length === 0, "an object whose lock is over cannot be removed");
  },
};

async function expectHeld(store: ObjectStore, key: string): Promise<void> {
  const [held] = await store.remove([key]);
  expect(held?.key === key && (await store.size(key)) !== null, "a locked object was deleted before its time", UNLOCK_HINT);
}

const ROUNDING_MS = 1000;

/** Some stores keep whole seconds. */
function isAt(found: Date | null, wanted: Date): boolean {
  return found !== null && Math.abs(found.getTime() - wanted.getTime()) <= ROUNDING_MS;
}

async function race(store: ObjectStore, key: string): Promise<void> {
  const outcomes = await Promise.all(Array.from({ length: RACERS }, (_, i) => putIfAbsent(store, key, Buffer.of(i))));
  const winners = outcomes.flatMap((outcome, i) => (outcome === "created" ? [i] : []));
  expect(winners.length === 1, `of ${RACERS} writers of one key at once ${winners.length} were told that it is theirs`, OVERWRITES);
  expect((await store.read(key))[0] === winners[0], "the object is not the one of the writer who was told that it is", OVERWRITES);
}

async function readPieces(store: ObjectStore, folder: string): Promise<void> {
  const key = `${folder}digits`;
  expect((await store.readRange(key, 3, 4)).toString() === "3456", "a range is not the bytes asked for");
  const tail = await store.readTail(key, 3);
  expect(tail.bytes.toString() === "789" && tail.size === 10, "a tail is not the bytes asked for");
  expect(await rejects(store.readRange(key, 8, 5), ObjectTruncated), "a range beyond the end is not refused");
  expect(await rejects(store.read(`${folder}never-there`), ObjectMissing), "an object that was never there is not said to be missing");
}

async function rejects(promise: Promise<unknown>, kind: typeof ObjectTruncated | typeof ObjectMissing): Promise<boolean> {
  return promise.then(
    () => false,
    (error: unknown) => {
      if (error instanceof kind) return true;
      throw error;
    },
  );
}
