import type { App } from "../app.ts";
import { observedAt } from "../catalog/snapshots.ts";
import type { SourceConfig } from "../policy/types.ts";

/** What `serve` saw this long ago is taken for now: it looks every 2 to 15 seconds, and a sample of exposure holds for a minute. */
const FRESH_SECONDS = 60;

/** Sources that `serve` has not seen a moment ago. It keeps what it saw in the catalog, so that nobody has to ask a thousand servers to know. */
export function notSeenLately(app: App, sources: readonly SourceConfig[]): SourceConfig[] {
  const seen = observedAt(app.catalog);
  const now = app.clock.now().getTime();
  return sources.filter(({ name }) => {
    const at = seen.get(name);
    return at === undefined || Math.abs(now - Date.parse(at)) > FRESH_SECONDS * 1000;
  });
}
