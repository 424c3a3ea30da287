/** What a store answered: the name of the error, and the status. Null where there was no answer. */
export interface Refusal {
  readonly name: string;
  readonly status: number;
}

export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof Error) || !("$metadata" in error)) return null;
  const { $metadata: metadata } = error;
  if (typeof metadata !== "object" || metadata === null || !("httpStatusCode" in metadata) || typeof metadata.httpStatusCode !== "number") return null;
  return { name: error.name, status: metadata.httpStatusCode };
}

export function hasStatus(error: unknown, status: number): boolean {
  return refusalOf(error)?.status === status;
}

/** The store asks for fewer requests. */
export function isTooMuch(error: unknown): boolean {
  const refusal = refusalOf(error);
  return refusal !== null && (refusal.status === 503 || refusal.status === 429 || refusal.name === "SlowDown");
}

/** There is something, and a marker over it says that it is deleted. */
export function isMarked(error: unknown): boolean {
  if (!(error instanceof Error) || !("$response" in error)) return false;
  const { $response: response } = error;
  if (typeof response !== "object" || response === null || !("headers" in response)) return false;
  const { headers } = response;
  return typeof headers === "object" && headers !== null && "x-amz-delete-marker" in headers && headers["x-amz-delete-marker"] === "true";
}
