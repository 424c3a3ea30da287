import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../../../src/errors.ts";
import { leastBytes, requireReady } from "../../../../src/operations/backup/require-ready.ts";
import type { ReadyRequest } from "../../../../src/operations/backup/require-ready.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import { manifestOf } from "../../../support/wal-fixture.ts";
import { lsn } from "../../../../src/domain/lsn.ts";

const GIB = 1024 ** 3;

function listingWith(storedBytes: number | null): ReadyRequest["listing"] {
  if (storedBytes === null) return { ids: [], backups: [], damaged: [] } as unknown as ReadyRequest["listing"];
  const manifest = manifestOf("20260101T000000Z-full", { timeline: 1, start: lsn(1n), stop: lsn(2n), stopAt: "2026-01-01T00:00:00Z", writer: "" });
  const backups = [{ sha256: "", manifest: { ...manifest, sizes: { ...manifest.sizes, storedBytes } } }];
  return { ids: [manifest.id], backups, damaged: [] } as unknown as ReadyRequest["listing"];
}

/** On a real store, that says it has less room than it has. */
describe("a backup that cannot come to be is refused before it begins", () => {
  async function tried(free: number, request: Partial<ReadyRequest>): Promise<{ outcome: string; asked: number }> {
    await using fixture = await openRepositoryFixture();
    const { store, name } = await fixture.open();
    let asked = 0;
    const sourceBytes = async (): Promise<number | null> => {
      asked++;
      return request.sourceBytes === undefined ? 100 * GIB : request.sourceBytes();
    };
    const what = { type: "full" as const, listing: listingWith(30 * GIB), ...request, sourceBytes };
    try {
      await requireReady({ name, store: { ...store, freeBytes: async () => free } }, what);
      return { outcome: "goes on", asked };
    } catch (error) {
      return { outcome: error instanceof HoldfastError ? error.code : String(error), asked };
    }
  }

  test("where there is not the room for half of the full before, and the source did not shrink", async () => {
    expect(await tried(4 * GIB, {})).toEqual({ outcome: "HF-SPACE", asked: 1 });
    // Where there is room for as much again the server is not asked.
    expect(await tried(31 * GIB, {})).toEqual({ outcome: "goes on", asked: 0 });
    expect(await tried(20 * GIB, {})).toEqual({ outcome: "goes on", asked: 1 });
  });

  test("and not where nobody knows: the source was emptied, does not tell its size, or only what changed is stored", async () => {
    expect(await tried(4 * GIB, { sourceBytes: async () => GIB })).toMatchObject({ outcome: "goes on" });
    expect(await tried(4 * GIB, { sourceBytes: async () => null })).toMatchObject({ outcome: "goes on" });
    expect(await tried(1, { type: "incremental" })).toEqual({ outcome: "goes on", asked: 0 });
  });

  test("for the first full, where even the best compression would not do", async () => {
    expect(await tried(4 * GIB, { listing: listingWith(null) })).toMatchObject({ outcome: "HF-SPACE" });
    expect(await tried(6 * GIB, { listing: listingWith(null) })).toMatchObject({ outcome: "goes on" });
    expect(leastBytes(null, 100 * GIB)).toBe(5 * GIB);
  });

  test("where the place does not enforce the locks that were asked for", async () => {
    await using fixture = await openRepositoryFixture();
    const { store, name } = await fixture.open();
    const lock = {
      mode: "governance" as const,
      lockedUntil: async () => null,
      extend: async () => undefined,
      assertEnforced: async () => {
        throw new HoldfastError("HF-CHECK", "the bucket has no Object Lock", { hint: "make it anew" });
      },
    };
    const refused = requireReady({ name, store: { ...store, lock } }, { type: "incremental", listing: listingWith(null), sourceBytes: async () => null });
    // Of one copy: the others are made.
    await expect(refused).rejects.toMatchObject({ code: "HF-STORAGE", hint: "make it anew" });
  });
});
