/** An evidence entry, as far as the catalog needs it. */
export interface HistoryEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
}
