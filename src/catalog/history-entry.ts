/** An evidence entry, as far as the catalog needs it. */
export interface HistoryEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Facts come from older and newer versions too: what is of another kind is as if it were not there. */
export function stringOr(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

export function stringOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
