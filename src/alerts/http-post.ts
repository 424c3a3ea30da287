import { codeOf } from "../errors.ts";
import { DeliveryError } from "./channel.ts";

/** The one place of alerts that speaks HTTP. */

/** Longer than a slow server takes, shorter than anybody should wait. */
const TIMEOUT_MS = 10_000;
/** Codes that say: this message, not now is wrong. */
const REFUSALS: readonly number[] = [400, 413, 415, 422];

export interface Post {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, as it is sent: it may be signed. */
  readonly body: string;
}

/** Sends, and resolves once the other side says that it has taken it. Follows nowhere: what is signed or secret goes where it was addressed to. */
export async function postJson({ url, headers, body }: Post, signal: AbortSignal): Promise<void> {
  const response = await request(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body }, signal);
  if (response.ok) return;
  throw new DeliveryError(`answered ${response.status}`, { refused: REFUSALS.includes(response.status), retryAfterSeconds: retryAfterOf(response) });
}

/** Asks for an address, for the sake of having asked. */
export async function getAddress(url: string, signal: AbortSignal): Promise<void> {
  const response = await request(url, { method: "GET" }, signal);
  if (!response.ok) throw new DeliveryError(`answered ${response.status}`);
}

async function request(url: string, options: RequestInit, signal: AbortSignal): Promise<Response> {
  try {
    const response = await fetch(url, { ...options, redirect: "manual", signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) });
    // What it says beside the code is of no use, and unread it would keep the connection.
    await response.body?.cancel();
    return response;
  } catch (error) {
    signal.throwIfAborted();
    throw new DeliveryError(whatWentWrong(error), { cause: error });
  }
}

/** In our words: the runtime's own would name the address, which may be the secret. */
function whatWentWrong(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") return `no answer within ${TIMEOUT_MS / 1000} s`;
  const code = codeOf(error instanceof Error ? error.cause : null);
  if (code !== undefined) return `no connection (${code})`;
  return "no connection, or not an address";
}

function retryAfterOf(response: Response): number | null {
  const seconds = Number(response.headers.get("retry-after") ?? "");
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}
