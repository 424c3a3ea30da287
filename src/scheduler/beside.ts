import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { Workers } from "./workers.ts";

/** What jobs need that go on beside scheduled work (copying, scrubbing), and are decided by what was last observed. */
export interface BesideOptions {
  readonly inventoryFile: string;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly workers: Pick<Workers, "isRunning" | "run">;
  readonly jobFile: (name: string) => string;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}
