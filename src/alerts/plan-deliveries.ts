import { forgetDeliveries, listDeliveries, queueDelivery } from "../catalog/alert-deliveries.ts";
import type { Delivery } from "../catalog/alert-deliveries.ts";
import { findAlert, listOpenAlerts } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { eventsFor, goesThrough } from "../domain/alert-routing.ts";
import type { ChannelRoute } from "../domain/alert-routing.ts";

/**
 * Puts into the outbox what channels have to be told, by how the alerts stand; and forgets what they were told to the end. It follows from the alerts alone: whoever died between raising
 * one and telling of it, the next who looks here makes it good. An Alertmanager has no part in it: it is told everything again and again.
 */
export function planDeliveries(catalog: Catalog, channels: readonly ChannelRoute[], now: Date): void {
  catalog.transaction(() => {
    const told = Map.groupBy(listDeliveries(catalog), pairOf);
    const routes = channels.filter(({ kind }) => kind !== "alertmanager");
    const open = listOpenAlerts(catalog);
    for (const alert of open)
      for (const channel of routes)
        if (goesThrough(routed(alert), channel, channels)) queueMissing(catalog, alert, channel, told.get(pairOf({ alert: alert.id, channel: channel.name })) ?? [], now);
    const isOpen = new Set(open.map(({ id }) => id));
    for (const deliveries of told.values()) {
      const [first] = deliveries;
      if (first === undefined || isOpen.has(first.alert)) continue;
      const alert = findAlert(catalog, first.alert);
      const channel = routes.find(({ name }) => name === first.channel);
      if (alert === null || channel === undefined || isToldToTheEnd(deliveries) || isOvertaken(deliveries, channel)) forgetDeliveries(catalog, first);
      else queueMissing(catalog, alert, channel, deliveries, now);
    }
  });
}

function queueMissing(catalog: Catalog, alert: Alert, channel: ChannelRoute, deliveries: readonly Delivery[], now: Date): void {
  for (const event of eventsFor(routed(alert), channel, new Set(deliveries.map((one) => one.event))))
    queueDelivery(catalog, { alert: alert.id, channel: channel.name, event }, now);
}

function isToldToTheEnd(deliveries: readonly Delivery[]): boolean {
  return deliveries.some(({ event, state }) => event === "resolved" && state !== "waiting");
}

/** Nobody is woken for what is over already. */
function isOvertaken(deliveries: readonly Delivery[], { kind }: ChannelRoute): boolean {
  return kind === "pagerduty" && deliveries.every(({ attempts }) => attempts === 0);
}

function pairOf({ alert, channel }: Pick<Delivery, "alert" | "channel">): string {
  return `${alert} ${channel}`;
}

function routed({ severity, state, kind, key }: Alert): { severity: Alert["severity"]; state: Alert["state"]; failedChannel: string | null } {
  return { severity, state, failedChannel: kind === "channel_failed" ? (key.split("/").at(-1) ?? null) : null };
}
