import { channelFailed, channelWorked, countAttempt, endDelivery, waitingFor } from "../catalog/alert-deliveries.ts";
import type { Delivery } from "../catalog/alert-deliveries.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import { retryAfterSeconds, whyGivenUp } from "../domain/alert-routing.ts";
import { HoldfastError } from "../errors.ts";
import { DeliveryError } from "./channel.ts";
import type { Channel } from "./channel.ts";

export interface SenderOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}

const nameOf = ({ alert, event }: Delivery): string => `${alert} ${event}`;

/** Sends what waits for one channel, in order, at least once. Another channel's trouble is not its own. */
export class ChannelSender {
  readonly #channel: Channel;
  readonly #options: SenderOptions;
  readonly #refusals = new Map<string, number>();
  #failures = 0;
  #notBeforeMs = 0;
  /** One of many was refused, and which is not known: so many go one by one. */
  #oneByOne = 0;

  constructor(channel: Channel, options: SenderOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** Sends one message, if something waits and the channel's time has come. True: there may be more. */
  async step(signal: AbortSignal): Promise<boolean> {
    const { catalog, clock } = this.#options;
    if (clock.monotonicMs() < this.#notBeforeMs) return false;
    const waiting = waitingFor(catalog, this.#channel.name, this.#oneByOne > 0 ? 1 : this.#channel.most).filter(({ delivery, alert }) => {
      const reason = whyGivenUp({ refusals: this.#refusals.get(nameOf(delivery)) ?? 0, resolvedAt: alert.resolvedAt }, clock.now());
      if (reason !== null) this.#giveUp(delivery, reason);
      return reason === null;
    });
    if (waiting.length === 0) return false;
    const deliveries = waiting.map(({ delivery }) => delivery);
    for (const delivery of deliveries) countAttempt(catalog, delivery);
    try {
      await this.#channel.send(
        waiting.map(({ delivery, alert }) => ({ event: delivery.event, alert })),
        signal,
      );
    } catch (error) {
      if (signal.aborted) return false;
      this.#failed(deliveries, error);
      return false;
    }
    this.#sent(deliveries);
    return true;
  }

  #sent(deliveries: readonly Delivery[]): void {
    const { catalog, clock, log } = this.#options;
    catalog.transaction(() => {
      for (const delivery of deliveries) endDelivery(catalog, delivery, "sent", clock.now());
      channelWorked(catalog, this.#channel.name, clock.now());
    });
    this.#failures = 0;
    this.#oneByOne = Math.max(0, this.#oneByOne - deliveries.length);
    for (const delivery of deliveries) this.#refusals.delete(nameOf(delivery));
    log("alerts sent", { channel: this.#channel.name, alerts: deliveries.map(nameOf) });
  }

  #failed(deliveries: readonly Delivery[], error: unknown): void {
    const { catalog, clock, log } = this.#options;
    this.#failures++;
    const asked = error instanceof DeliveryError ? error.retryAfterSeconds : null;
    const waitSeconds = retryAfterSeconds(this.#failures, asked);
    this.#notBeforeMs = clock.monotonicMs() + waitSeconds * 1000;
    if (error instanceof DeliveryError && error.refused) {
      if (deliveries.length > 1) this.#oneByOne = deliveries.length;
      else for (const delivery of deliveries) this.#refusals.set(nameOf(delivery), (this.#refusals.get(nameOf(delivery)) ?? 0) + 1);
    }
    // What others say of it may repeat a secret.
    const reason = error instanceof DeliveryError || error instanceof HoldfastError ? error.message : "an error of our own";
    channelFailed(catalog, this.#channel.name, reason, clock.now());
    log("alerts not sent", { channel: this.#channel.name, reason, waitSeconds });
  }

  #giveUp(delivery: Delivery, reason: string): void {
    const { catalog, clock, log } = this.#options;
    endDelivery(catalog, delivery, "given_up", clock.now());
    this.#refusals.delete(nameOf(delivery));
    log("alert given up", { channel: this.#channel.name, alert: nameOf(delivery), reason });
  }
}
