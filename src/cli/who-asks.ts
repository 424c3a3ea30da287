import { accountName } from "../config.ts";

/** Whoever works in the shell: who that is, the machine knows better than we do. */
export function whoAsks(): string {
  return `${accountName()} (shell)`;
}
