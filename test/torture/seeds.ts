/**
 * Seeds that failed once, with what they found (PostgreSQL 15 and 17 to choose from). A seed is a witness only as long as plans are drawn as they were,
 * so what it found has a test of its own, named here.
 */
export const FAILED_ONCE: readonly number[] = [
  320, // a backup begun in the second in which another died took its id, and was refused: dead-attempt.pg.test.ts
  408, // a prepared transaction in the segment of a promotion ended recovery: prepared-transactions.test.ts
  502, // a tablespace in place made just before a backup began was not in it: tablespaces.test.ts
  2005, // a database copied by files while a backup ran had what was written to its model afterwards: copied-databases.test.ts
  2042, // a tablespace that was just being dropped failed a backup: tablespaces.test.ts
  4043,
  4129, // a parent of which nothing was needed any more was expired, and the test took that for a fault: retention.test.ts
];
