import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import type { App } from "../app.ts";
import { newestAcceptance } from "../catalog/policies.ts";
import { loadInventory } from "../policy/load.ts";
import type { Inventory } from "../policy/types.ts";

/** How often files are looked at; what is half written when we look is whole at the next look. */
const LOOK_EVERY_MS = 2000;

export interface ConfigurationWatchOptions {
  readonly app: App;
  /** Of these sources something is another than it was, or they came or went: what runs for them without an end has to begin anew. */
  readonly onTakenUp: (changed: readonly string[]) => void;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}

/**
 * Takes up changed policies and sources while `serve` goes on: files that are valid, as one; what approval holds back stays as it was. Nothing is due twice for it, as what was done is known by its
 * slots and not by its schedule. Files that are not valid, and changes of what is only read at the start (repositories, channels, addresses), leave everything as it was, and are said in `problem`.
 */
export class ConfigurationWatch {
  readonly #options: ConfigurationWatchOptions;
  #seen: string | null = null;
  #nextLookMs = 0;
  #problem: string | null = null;

  constructor(options: ConfigurationWatchOptions) {
    this.#options = options;
  }

  /** Why the files are not what is in force; null: they are, but for what waits for approval. */
  get problem(): string | null {
    return this.#problem;
  }

  /** To be called again and again. */
  async keep(): Promise<void> {
    const { app } = this.#options;
    const nowMs = app.clock.monotonicMs();
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + LOOK_EVERY_MS;
    const print = await this.#fingerprint();
    // What was read when the program began may have changed since: so the first look compares with nothing, and takes up what there is.
    if (print === this.#seen) return;
    await this.#takeUp();
    this.#seen = print;
  }

  async #takeUp(): Promise<void> {
    const { app, onTakenUp, log } = this.#options;
    const loaded = await loadInventory(app.inventory.file);
    if (!loaded.ok) {
      const [first] = loaded.problems;
      this.#refuse(first === undefined ? "they cannot be read" : `${path.basename(first.file)}:${first.line}: ${first.message}`);
      return;
    }
    if (fixedParts(loaded.inventory) !== fixedParts(app.inventory)) {
      this.#refuse("something besides sources, limits and policies was changed: restart 'holdfast serve' to take it up");
      return;
    }
    const changed = await app.takeUp(loaded);
    this.#problem = null;
    if (changed.length === 0) return;
    log("changed policies taken up", { sources: changed });
    onTakenUp(changed);
  }

  #refuse(problem: string): void {
    if (problem !== this.#problem) this.#options.log("changed files not taken up: what was in force goes on", { problem });
    this.#problem = problem;
  }

  /** Of the files, and of approvals, which bring a file into force that has not changed. */
  async #fingerprint(): Promise<string> {
    const { inventory, catalog, journal } = this.#options.app;
    const folder = path.join(path.dirname(inventory.file), "policies");
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".yaml")).toSorted();
    const files = [inventory.file, ...names.map((name) => path.join(folder, name))];
    const states = await Promise.all(
      files.map(async (file) =>
        stat(file).then(
          ({ mtimeMs, size, ino }) => [file, mtimeMs, size, ino],
          () => [file],
        ),
      ),
    );
    return JSON.stringify([states, newestAcceptance(catalog, journal.evidence.writer)]);
  }
}

/** All that is read once, when the program begins. */
function fixedParts(inventory: Inventory): string {
  return JSON.stringify({ ...inventory, sources: null, limits: null }, (_key, value: unknown) => (value instanceof Map ? [...value] : value));
}
