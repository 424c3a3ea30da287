/**
 * Seeds that failed once, with what they found (PostgreSQL 15 and 17 to choose from). A seed is a witness only as long as plans are drawn as they were,
 * so what it found has a test of its own, named here.
 */
export const FAILED_ONCE: readonly number[] = [
  1, // tablespaces in place could not be restored: tablespaces.pg.test.ts; a prepared transaction was lost on 17: prepared-transactions.pg.test.ts
];
