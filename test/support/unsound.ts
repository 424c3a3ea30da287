/** The first thing the oracle found wrong: in which database, with which relation, seen by which check. */
export class UnsoundError extends Error {
  override readonly name = "UnsoundError";
  readonly check: string;
  readonly database: string;
  readonly relation: string;

  constructor(check: string, database: string, relation: string, detail: string, cause?: unknown) {
    super(`${database}: ${relation}: ${detail} [${check}]`, cause === undefined ? undefined : { cause });
    this.check = check;
    this.database = database;
    this.relation = relation;
  }
}
