import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { Inventory } from "../policy/types.ts";
import type { PassedOver, Task } from "./tasks.ts";
import type { Workers } from "./workers.ts";

/** What the scheduler needs of the world around it. */
export interface SchedulerOptions {
  readonly inventory: Inventory;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly workers: Pick<Workers, "isRunning" | "run" | "stopAll">;
  /** Absolute path of a job's file by its name. */
  readonly jobFile: (name: string) => string;
  /** Puts slots on record that will not be run. */
  readonly recordPassedOver: (passed: PassedOver) => Promise<void>;
  /** Puts on record that the run of a task ended with its thread, where it is not on record as ended. */
  readonly closeLost: (task: Task) => Promise<void>;
  /** What must be done before anything falls due, and now and then. */
  readonly keepHouse: () => Promise<void>;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}
