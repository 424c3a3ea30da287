import { userInfo } from "node:os";

/** Whoever works in the shell: who that is, the machine knows better than we do. */
export function whoAsks(): string {
  try {
    return `${userInfo().username} (shell)`;
  } catch {
    // An account without a name, as containers have.
    return `uid ${process.getuid?.() ?? "unknown"} (shell)`;
  }
}
