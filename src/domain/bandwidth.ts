import { isWithin } from "./window.ts";
import type { Window } from "./window.ts";

/** How fast a repository may be written to, by time of day. */
export interface BandwidthRule {
  readonly window: Window;
  readonly bytesPerSecond: number;
}

/** Bytes a second at a moment: the lowest of all rules whose window it lies in. Null: no rule is about it, so as fast as it goes. */
export function rateAt(rules: readonly BandwidthRule[], at: Date): number | null {
  const rates = rules.filter(({ window }) => isWithin([window], at)).map(({ bytesPerSecond }) => bytesPerSecond);
  return rates.length === 0 ? null : Math.min(...rates);
}
