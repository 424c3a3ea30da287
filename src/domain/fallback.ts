/** Something that a copy could not give, and another copy of the same gave in its place. On record, so that a damaged copy is never used, or passed over, without a word. */
export interface Fallback {
  /** The copy that was asked first. */
  readonly repository: string;
  /** The object, or the WAL segment. */
  readonly object: string;
  readonly reason: string;
  readonly servedBy: string;
}
