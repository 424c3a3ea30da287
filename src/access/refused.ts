/** A request that is not let in: 401, nobody is known to ask it; 403, they may not. */
export class AccessRefused extends Error {
  override readonly name = "AccessRefused";
  readonly statusCode: 401 | 403;
  readonly hint: string;

  constructor(statusCode: 401 | 403, detail: string, hint: string) {
    super(detail);
    this.statusCode = statusCode;
    this.hint = hint;
  }
}
