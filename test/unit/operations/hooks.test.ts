import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { withHooks } from "../../../src/operations/backup/hooked-backup.ts";
import { runHook } from "../../../src/operations/hooks.ts";
import type { HookResult } from "../../../src/operations/hooks.ts";
import type { RunConclusion } from "../../../src/operations/record-run.ts";
import type { Hooks } from "../../../src/policy/types.ts";
import { openScratchFolder } from "../../support/scratch-folder.ts";
import type { ScratchFolder } from "../../support/scratch-folder.ts";

const NONE: Hooks = { beforeBackup: [], afterBackup: [], onFailure: [], timeoutSeconds: 10 };
const FACTS = { source: "orders", run: "r1", type: "full" };
const MADE: RunConclusion<{ id: string }> = { outcome: "succeeded", reason: null, figures: { bytes: 7 }, value: { id: "b1" } };

describe("hooks", () => {
  let folder: ScratchFolder;
  beforeEach(async () => {
    folder = await openScratchFolder();
    process.env["HOLDFAST_TEST_SECRET"] = "sek-9f8e7d6c5b4a";
  });
  afterEach(async () => {
    delete process.env["HOLDFAST_TEST_SECRET"];
    await folder[Symbol.asyncDispose]();
  });

  const shell = (script: string): string[] => ["/bin/sh", "-c", script];
  const run = async (script: string, more: Partial<Hooks> = {}): Promise<HookResult | null> =>
    runHook({ hooks: { ...NONE, afterBackup: shell(script), ...more }, inventory: { file: join(folder.path, "holdfast.yaml") }, clock: systemClock }, "afterBackup", {
      ...FACTS,
      backupId: "b1",
      outcome: "succeeded",
    });
  const trace = (name: string): string[] => shell(`echo "${name} $HOLDFAST_OUTCOME $HOLDFAST_REASON" >> trace`);
  const traced = async (): Promise<string[]> => (await readFile(join(folder.path, "trace"), "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  /** A backup with these hooks; what of it is on record, and what was thrown. */
  const backUp = async (
    hooks: Partial<Hooks>,
    act: () => Promise<RunConclusion<{ id: string }>>,
    signal?: AbortSignal,
  ): Promise<{ conclusion?: RunConclusion<unknown>; kept?: object; error?: unknown }> => {
    let kept: object = {};
    const inventory = { file: join(folder.path, "holdfast.yaml") };
    const keep = (figures: object): void => void (kept = figures);
    const hooked = { hooks: { ...NONE, ...hooks }, inventory, clock: systemClock, facts: FACTS, keep, onNotice: () => undefined, ...(signal === undefined ? {} : { signal }) };
    return withHooks(hooked, act).then(
      (conclusion) => ({ conclusion }),
      (error: unknown) => ({ error, kept }),
    );
  };

  test("are given facts and nothing of our environment", async () => {
    const result = await run("env > env; pwd");
    const environment: Record<string, string> = Object.fromEntries(
      (await readFile(join(folder.path, "env"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => line.split("=", 2) as [string, string]),
    );
    expect(
      Object.keys(environment)
        .filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name))
        .toSorted(),
    ).toEqual(["HOLDFAST_BACKUP", "HOLDFAST_HOOK", "HOLDFAST_OPERATION", "HOLDFAST_OUTCOME", "HOLDFAST_RUN", "HOLDFAST_SOURCE", "HOLDFAST_TYPE", "LC_ALL", "PATH"].toSorted());
    expect(environment).toMatchObject({
      HOLDFAST_HOOK: "afterBackup",
      HOLDFAST_SOURCE: "orders",
      HOLDFAST_TYPE: "full",
      HOLDFAST_RUN: "r1",
      HOLDFAST_BACKUP: "b1",
      HOLDFAST_OUTCOME: "succeeded",
    });
    expect(result).toMatchObject({ ok: true, detail: "exit code 0", output: folder.path });
  });

  test("are programs with arguments: no shell reads them", async () => {
    await writeFile(join(folder.path, "args.sh"), '#!/bin/sh\nprintf "%s|" "$@"\n', { mode: 0o755 });
    const result = await run("", { afterBackup: ["./args.sh", "$HOME; id", "*"] });
    expect(result?.output).toBe("$HOME; id|*|");
  });

  test.each([
    ["exits with another code", "echo no; exit 3", "exit code 3"],
    ["takes too long", "sleep 30", "took longer than 1 s"],
    // Which of the two it is depends on who notices first that nobody listens any more.
    ["never stops talking", "yes", /^(exit code 1|was ended, or said more than is kept)$/],
  ])("one that %s has failed, in bounded time", async (_, script, detail) => {
    const from = performance.now();
    const result = await run(script, { timeoutSeconds: script.startsWith("sleep") ? 1 : 10 });
    expect(result).toMatchObject({ ok: false, detail: expect.stringMatching(detail) as string });
    expect(result?.output.length).toBeLessThanOrEqual(2000);
    expect(performance.now() - from).toBeLessThan(9000);
  });

  test("one that leaves a program running is not waited for", async () => {
    const from = performance.now();
    expect(await run("sleep 20 & echo started")).toMatchObject({ ok: true, output: "started" });
    expect(performance.now() - from).toBeLessThan(5000);
  });

  test("one that is not there has failed, and says so", async () => {
    expect(await run("", { afterBackup: ["./none.sh"] })).toMatchObject({ ok: false, detail: "cannot run ./none.sh: ENOENT" });
  });

  test("beforeBackup that fails fails the backup before anything is touched, and onFailure is told why", async () => {
    let touched = false;
    const { error, kept } = await backUp({ beforeBackup: shell("echo busy; exit 1"), afterBackup: trace("after"), onFailure: trace("failure") }, async () => {
      touched = true;
      return MADE;
    });
    expect(touched).toBe(false);
    expect(error).toMatchObject({ code: "HF-HOOK", message: "the hook beforeBackup failed: exit code 1: busy" });
    expect(await traced()).toEqual(["failure failed the hook beforeBackup failed: exit code 1: busy"]);
    expect(kept).toMatchObject({
      hooks: [
        { hook: "beforeBackup", ok: false, output: "busy" },
        { hook: "onFailure", ok: true },
      ],
    });
  });

  test("a backup that was made has its hooks on record, and afterBackup that fails is a warning", async () => {
    const { conclusion } = await backUp({ beforeBackup: trace("before"), afterBackup: shell("exit 9"), onFailure: trace("failure") }, async () => MADE);
    expect(conclusion).toMatchObject({
      outcome: "succeeded",
      reason: "the hook afterBackup failed: exit code 9",
      figures: { bytes: 7, hooks: [{ ok: true }, { hook: "afterBackup", ok: false }] },
    });
    expect(await traced()).toEqual(["before  "]);
  });

  test("a backup that is not in all its repositories is a failure to its hooks", async () => {
    await backUp({ afterBackup: trace("after"), onFailure: trace("failure") }, async () => ({ ...MADE, outcome: "failed", reason: "not stored in cloud" }));
    expect(await traced()).toEqual(["failure failed not stored in cloud"]);
  });

  test("what was frozen before is thawed also when the backup is cancelled", async () => {
    const stop = new AbortController();
    const act = async (): Promise<never> => {
      stop.abort(new HoldfastError("HF-INTERRUPTED", "stopped"));
      throw stop.signal.reason;
    };
    const { error } = await backUp({ beforeBackup: trace("before"), onFailure: trace("failure") }, act, stop.signal);
    expect(error).toMatchObject({ code: "HF-INTERRUPTED" });
    expect(await traced()).toEqual(["before  ", "failure cancelled stopped"]);
  });

  test("without any there is nothing on record of them but that", async () => {
    expect(await backUp({}, async () => MADE)).toEqual({ conclusion: { ...MADE, figures: { bytes: 7, hooks: [] } } });
  });
});
