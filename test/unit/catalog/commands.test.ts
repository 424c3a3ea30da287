import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { COMMAND_KINDS, COMMAND_STATES, commandEnded, findCommand, MOST_QUEUED, queuedCommands, submitCommand } from "../../../src/catalog/commands.ts";
import type { CommandRequest } from "../../../src/catalog/commands.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";

describe("the queue of commands", () => {
  let scratch: ScratchFolder;
  let catalog: Catalog;

  beforeEach(async () => {
    scratch = await openScratchFolder();
    catalog = Catalog.open(join(scratch.path, "catalog.sqlite"));
  });
  afterEach(async () => {
    catalog[Symbol.dispose]();
    await scratch[Symbol.asyncDispose]();
  });

  const request = (id: string, more: Partial<CommandRequest> = {}): CommandRequest => ({
    id,
    kind: "backup",
    source: "db",
    args: { type: "full", wait: true },
    idempotencyKey: id,
    requestedBy: "ops",
    requestedAt: new Date("2026-11-21T12:00:00Z"),
    ...more,
  });

  test("the same key from the same person is the same command, and another request under it a conflict", () => {
    expect(submitCommand(catalog, request("c1", { idempotencyKey: "k" }))).toMatchObject({
      kind: "new",
      command: { id: "c1", state: "queued", args: { type: "full", wait: true } },
    });
    // Arguments have no order.
    expect(submitCommand(catalog, request("c2", { idempotencyKey: "k", args: { wait: true, type: "full" } }))).toMatchObject({ kind: "same", command: { id: "c1" } });
    expect(submitCommand(catalog, request("c3", { idempotencyKey: "k", args: { type: "incremental" } }))).toMatchObject({ kind: "conflict", command: { id: "c1" } });
    expect(submitCommand(catalog, request("c4", { idempotencyKey: "k", requestedBy: "somebody else" }))).toMatchObject({ kind: "new", command: { id: "c4" } });
    expect(queuedCommands(catalog).map(({ id }) => id)).toEqual(["c1", "c4"]);
  });

  test("its state is that of the run that has its id, and it is taken up once", () => {
    submitCommand(catalog, request("c1"));
    const entry = (sequence: number, kind: string, facts: Record<string, unknown>): void =>
      applyEntry(catalog, { writer: "w", sequence, at: `2026-11-21T12:00:0${sequence}.000Z`, kind, facts: { run: "c1", source: "db", operation: "backup", ...facts } });
    entry(1, "run.started", { trigger: "api" });
    expect(queuedCommands(catalog)).toEqual([]);
    expect(findCommand(catalog, "c1")?.state).toBe("running");
    entry(2, "run.finished", { outcome: "failed", reason: "no space" });
    expect(findCommand(catalog, "c1")).toMatchObject({ state: "failed", reason: "no space", endedAt: "2026-11-21T12:00:02.000Z" });
    expect(findCommand(catalog, "c9")).toBeNull();
  });

  test("every kind has a job, and every end a state", () => {
    expect(COMMAND_KINDS.filter((kind) => !existsSync(join(import.meta.dirname, `../../../jobs/${kind}.ts`)))).toEqual([]);
    const ends = ["succeeded", "failed", "cancelled", "interrupted"] as const;
    expect(COMMAND_STATES).toEqual(["queued", "running", ...ends]);
    for (const state of ends) {
      submitCommand(catalog, request(state));
      commandEnded(catalog, state, { state, reason: null, at: "2026-11-21T12:00:00.000Z" });
      expect(findCommand(catalog, state)?.state).toBe(state);
    }
  });

  test("a full queue takes no more, and what ended long ago is forgotten", () => {
    for (let i = 0; i < MOST_QUEUED; i++) submitCommand(catalog, request(`c${i}`));
    expect(submitCommand(catalog, request("one too many"))).toBeNull();
    commandEnded(catalog, "c0", { state: "failed", reason: null, at: "2026-11-21T12:00:00.000Z" });
    expect(submitCommand(catalog, request("fits", { requestedAt: new Date("2027-01-21T12:00:00Z") }))?.kind).toBe("new");
    expect(findCommand(catalog, "c0")).toBeNull();
  });
});
