import type { AlertEvent } from "../domain/alert-routing.ts";
import { findAlert } from "./alerts.ts";
import type { Alert } from "./alerts.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";

/**
 * What channels were told and have yet to be told: the outbox. Not evidence; where it is lost, channels are told again of what is still open.
 * It holds what is open or waits; what a channel was told of to the end is forgotten.
 */
export interface Delivery {
  readonly alert: string;
  readonly channel: string;
  readonly event: AlertEvent;
  readonly state: "waiting" | "sent" | "given_up";
  /** Counted before each try, so that a message that may have arrived is known to. */
  readonly attempts: number;
}

export function listDeliveries(catalog: Catalog): Delivery[] {
  return catalog.all("select * from alert_deliveries order by rowid").map(deliveryOf);
}

export function queueDelivery(catalog: Catalog, { alert, channel, event }: Pick<Delivery, "alert" | "channel" | "event">, at: Date): void {
  catalog.run("insert into alert_deliveries (alert, channel, event, state, attempts, at) values (:alert, :channel, :event, 'waiting', 0, :at) on conflict do nothing", {
    alert,
    channel,
    event,
    at: at.toISOString(),
  });
}

/** The oldest that wait for a channel, with their alerts as they are now. */
export function waitingFor(catalog: Catalog, channel: string, limit: number): { readonly delivery: Delivery; readonly alert: Alert }[] {
  return catalog
    .all("select * from alert_deliveries where channel = :channel and state = 'waiting' order by rowid limit :limit", { channel, limit })
    .map(deliveryOf)
    .flatMap((delivery) => {
      const alert = findAlert(catalog, delivery.alert);
      return alert === null ? [] : [{ delivery, alert }];
    });
}

export function countAttempt(catalog: Catalog, { alert, channel, event }: Delivery): void {
  catalog.run("update alert_deliveries set attempts = attempts + 1 where alert = :alert and channel = :channel and event = :event", { alert, channel, event });
}

export function endDelivery(catalog: Catalog, { alert, channel, event }: Delivery, state: "sent" | "given_up", at: Date): void {
  catalog.run("update alert_deliveries set state = :state, at = :at where alert = :alert and channel = :channel and event = :event", {
    alert,
    channel,
    event,
    state,
    at: at.toISOString(),
  });
}

export function forgetDeliveries(catalog: Catalog, { alert, channel }: Pick<Delivery, "alert" | "channel">): void {
  catalog.run("delete from alert_deliveries where alert = :alert and channel = :channel", { alert, channel });
}

function deliveryOf(row: SqlRow): Delivery {
  return {
    alert: textOf(row, "alert"),
    channel: textOf(row, "channel"),
    event: textOf(row, "event") as AlertEvent,
    state: textOf(row, "state") as Delivery["state"],
    attempts: numberOrNull(row, "attempts") ?? 0,
  };
}

/** How a channel does, by what was last tried. */
export interface ChannelHealth {
  readonly channel: string;
  /** Null: it works, or was never used. */
  readonly failingSince: string | null;
  readonly error: string | null;
  readonly lastSuccessAt: string | null;
}

export function channelWorked(catalog: Catalog, channel: string, at: Date): void {
  catalog.run(
    `insert into alert_channels (channel, last_success_at) values (:channel, :at)
     on conflict (channel) do update set failing_since = null, error = null, last_success_at = excluded.last_success_at`,
    { channel, at: at.toISOString() },
  );
}

export function channelFailed(catalog: Catalog, channel: string, error: string, at: Date): void {
  catalog.run(
    `insert into alert_channels (channel, failing_since, error) values (:channel, :at, :error)
     on conflict (channel) do update set failing_since = coalesce(failing_since, excluded.failing_since), error = excluded.error`,
    { channel, error, at: at.toISOString() },
  );
}

/** A failure of before, with nothing left that would try again, says nothing of a channel that may be another by now. */
export function forgetOldFailures(catalog: Catalog): void {
  catalog.run(
    `update alert_channels set failing_since = null, error = null
     where not exists (select 1 from alert_deliveries d where d.channel = alert_channels.channel and d.state = 'waiting')`,
    {},
  );
}

export function listChannelHealth(catalog: Catalog): ChannelHealth[] {
  return catalog.all("select * from alert_channels order by channel").map((row) => ({
    channel: textOf(row, "channel"),
    failingSince: textOrNull(row, "failing_since"),
    error: textOrNull(row, "error"),
    lastSuccessAt: textOrNull(row, "last_success_at"),
  }));
}
