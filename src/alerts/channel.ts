import type { Alert } from "../catalog/alerts.ts";
import type { AlertEvent, ChannelRoute } from "../domain/alert-routing.ts";

/** Something that a channel is to be told. */
export interface Notice {
  readonly event: AlertEvent;
  readonly alert: Alert;
}

/** A way to tell people, or programs that do. */
export interface Channel extends ChannelRoute {
  /** How many notices go into one message. */
  readonly most: number;
  /** Resolves when the other side has taken the message; rejects with a DeliveryError. What was sent twice does no harm there. */
  send(notices: readonly Notice[], signal: AbortSignal): Promise<void>;
}

/** Why a message was not taken. Says nothing that is secret: no address, no key, nothing that the other side said. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  /** The message itself is not wanted; with `false` it is the channel that does not work, and later it may. */
  readonly refused: boolean;
  readonly retryAfterSeconds: number | null;

  constructor(message: string, { refused = false, retryAfterSeconds = null, cause }: { refused?: boolean; retryAfterSeconds?: number | null; cause?: unknown } = {}) {
    super(message, { cause });
    this.refused = refused;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** `P1 gap in the WAL of orders in onsite (2 gaps)`. */
export function headline({ event, alert }: Notice): string {
  const word = event === "raised" ? "" : event === "resolved" ? "over: " : `acknowledged by ${alert.acknowledgedBy ?? "somebody"}: `;
  return `${alert.severity} ${word}${alert.title}${alert.detail === null || event !== "raised" ? "" : ` (${alert.detail})`}`;
}

/** A text that another side takes only up to some length. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
