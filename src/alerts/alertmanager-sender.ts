import { channelFailed, channelWorked } from "../catalog/alert-deliveries.ts";
import { findAlert, listOpenAlerts } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import { goesThrough, retryAfterSeconds } from "../domain/alert-routing.ts";
import type { ChannelRoute } from "../domain/alert-routing.ts";
import { RESEND_SECONDS, tellAlertmanager } from "./alertmanager.ts";
import { DeliveryError } from "./channel.ts";
import type { SenderOptions } from "./channel-sender.ts";

/** What is over is told this long: it may have been told while the Alertmanager restarted. */
const TELL_END_FOR_MS = 5 * 60_000;

/** Tells one Alertmanager of everything that is open, at once when that changes and again before it forgets. */
export class AlertmanagerSender {
  readonly #route: ChannelRoute;
  readonly #url: string;
  readonly #options: SenderOptions;
  #open = new Map<string, Alert>();
  readonly #ended = new Map<string, { readonly alert: Alert; readonly untilMs: number }>();
  #told = "";
  #dueMs = 0;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(route: ChannelRoute, url: string, options: SenderOptions) {
    this.#route = route;
    this.#url = url;
    this.#options = options;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { catalog, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#notBeforeMs) return;
    const alerts = this.#collect(nowMs);
    const state = JSON.stringify(alerts.map(({ id, state: of, detail }) => [id, of, detail]));
    if (alerts.length === 0 || (state === this.#told && nowMs < this.#dueMs)) return;
    try {
      await tellAlertmanager(this.#url, alerts, clock.now(), signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#failed(error);
      return;
    }
    [this.#told, this.#dueMs, this.#failures] = [state, nowMs + RESEND_SECONDS * 1000, 0];
    channelWorked(catalog, this.#route.name, clock.now());
  }

  #collect(nowMs: number): Alert[] {
    const { catalog } = this.#options;
    const wanted = listOpenAlerts(catalog).filter(({ severity, state }) => goesThrough({ severity, state, failedChannel: null }, this.#route, [this.#route]));
    const open = new Map(wanted.map((alert) => [alert.id, alert]));
    for (const [id, { untilMs }] of this.#ended) if (untilMs < nowMs) this.#ended.delete(id);
    for (const id of this.#open.keys()) {
      const ended = open.has(id) ? null : findAlert(catalog, id);
      if (ended !== null) this.#ended.set(id, { alert: ended, untilMs: nowMs + TELL_END_FOR_MS });
    }
    this.#open = open;
    // The same thing is wrong again: its labels are the same, and it is not over.
    const keys = new Set(wanted.map(({ key }) => key));
    return [...wanted, ...[...this.#ended.values()].map(({ alert }) => alert).filter(({ key }) => !keys.has(key))];
  }

  #failed(error: unknown): void {
    const { catalog, clock, log } = this.#options;
    const waitSeconds = retryAfterSeconds(++this.#failures, error instanceof DeliveryError ? error.retryAfterSeconds : null);
    this.#notBeforeMs = clock.monotonicMs() + waitSeconds * 1000;
    const reason = error instanceof DeliveryError ? error.message : "an error of our own";
    channelFailed(catalog, this.#route.name, reason, clock.now());
    log("alerts not sent", { channel: this.#route.name, reason, waitSeconds });
  }
}
