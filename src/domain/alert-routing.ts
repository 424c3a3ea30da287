import type { Severity } from "./alert-kinds.ts";

/** Which alerts go through which channel: by the table of severities, unless a channel says otherwise. */

type ChannelKind = "pagerduty" | "slack" | "email" | "webhook" | "alertmanager";

export interface ChannelRoute {
  readonly name: string;
  readonly kind: ChannelKind;
  /** Null: those that its kind is for. */
  readonly severities: readonly Severity[] | null;
}

/** P1 and P2 page, P2 and P3 are told to a team, P3 and P4 can be read later; a program is told everything. */
const DEFAULT_SEVERITIES: Readonly<Record<ChannelKind, readonly Severity[]>> = {
  pagerduty: ["P1", "P2"],
  slack: ["P2", "P3"],
  email: ["P3", "P4"],
  webhook: ["P1", "P2", "P3", "P4"],
  alertmanager: ["P1", "P2", "P3", "P4"],
};

export type AlertEvent = "raised" | "acknowledged" | "resolved";

/** Those that are told that somebody takes care of it: a pager stops calling, a team need not look. */
const TOLD_OF_ACKNOWLEDGEMENT: readonly ChannelKind[] = ["pagerduty", "slack", "webhook"];

export interface RoutedAlert {
  readonly severity: Severity;
  readonly state: "open" | "acknowledged" | "resolved";
  /** Of an alert about a channel its name. */
  readonly failedChannel: string | null;
}

/**
 * True if an alert goes through a channel. That a channel does not work is told through all the others, whatever they are for.
 * Where an Alertmanager pages, the others are silent, but for one thing: that it cannot be reached.
 */
export function goesThrough(alert: RoutedAlert, channel: ChannelRoute, all: readonly ChannelRoute[]): boolean {
  const alertmanagers = all.filter(({ kind }) => kind === "alertmanager");
  if (alert.failedChannel !== null) {
    const isAboutAlertmanager = alertmanagers.some(({ name }) => name === alert.failedChannel);
    return channel.name !== alert.failedChannel && (alertmanagers.length === 0 || isAboutAlertmanager || channel.kind === "alertmanager");
  }
  if (alertmanagers.length > 0 && channel.kind !== "alertmanager") return false;
  return (channel.severities ?? DEFAULT_SEVERITIES[channel.kind]).includes(alert.severity);
}

/** What a channel has to be told of an alert. It is told that it is over only if it was told that it began. */
export function eventsFor({ state }: RoutedAlert, { kind }: ChannelRoute, told: ReadonlySet<AlertEvent>): AlertEvent[] {
  const wanted: AlertEvent[] =
    state === "resolved" ? (told.has("raised") ? ["resolved"] : []) : state === "acknowledged" && TOLD_OF_ACKNOWLEDGEMENT.includes(kind) ? ["raised", "acknowledged"] : ["raised"];
  return wanted.filter((event) => !told.has(event));
}

/** A channel that fails is tried again after this long, doubled each time, up to the limit. */
const RETRY_SECONDS = { first: 5, most: 300 } as const;
/** What a server asks for may be more, but it is not for ever. */
const MOST_ASKED_SECONDS = 900;

/** `failures`: one after the other. `askedSeconds`: what the other side asked for. */
export function retryAfterSeconds(failures: number, askedSeconds: number | null): number {
  const own = Math.min(RETRY_SECONDS.most, RETRY_SECONDS.first * 2 ** Math.max(0, failures - 1));
  return Math.max(own, Math.min(MOST_ASKED_SECONDS, askedSeconds ?? 0));
}

/** A message that was refused as it is this often is given up: it would be refused for ever. */
const MOST_REFUSALS = 5;
/** What is over for so long is no news any more. */
const NEWS_FOR_MS = 86_400_000;

/** Why a message is not tried again; null: it is. One about something that is still wrong is never given up because a channel does not work. */
export function whyGivenUp(message: { readonly refusals: number; readonly resolvedAt: string | null }, now: Date): string | null {
  if (message.refusals >= MOST_REFUSALS) return `refused ${message.refusals} times`;
  return message.resolvedAt !== null && now.getTime() - Date.parse(message.resolvedAt) > NEWS_FOR_MS ? "over for more than a day" : null;
}
