/**
 * Seeds that failed once, with what they found (PostgreSQL 15 and 17 to choose from). A seed is a good witness only as long as plans are drawn as they were:
 * what it found has a test of its own.
 */
export const FAILED_ONCE: readonly number[] = [
  1, // a prepared transaction, written to a file while a backup ran, lost on 17: prepared-transactions.pg.test.ts
];
