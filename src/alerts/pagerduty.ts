import type { Severity } from "../domain/alert-kinds.ts";
import type { AlertEvent, ChannelRoute } from "../domain/alert-routing.ts";
import { shortened } from "./channel.ts";
import type { Channel, Notice } from "./channel.ts";
import { postJson } from "./http-post.ts";

/** PagerDuty, Events API v2. One event a message; the id of the alert is the key by which PagerDuty knows it again. */
export interface PagerDutyOptions extends Omit<ChannelRoute, "kind"> {
  readonly endpoint: string;
  readonly routingKey: () => Promise<string>;
  /** What the alert is about where it is not about a source: this machine. */
  readonly hostName: string;
}

const ACTIONS: Readonly<Record<AlertEvent, string>> = { raised: "trigger", acknowledged: "acknowledge", resolved: "resolve" };
const SEVERITIES: Readonly<Record<Severity, string>> = { P1: "critical", P2: "error", P3: "warning", P4: "info" };
/** Limits of the API. */
const MOST = { summary: 1024, source: 255 } as const;

export function pagerDuty({ name, severities, endpoint, routingKey, hostName }: PagerDutyOptions): Channel {
  return {
    name,
    kind: "pagerduty",
    severities,
    most: 1,
    send: async (notices, signal) => {
      for (const notice of notices)
        await postJson({ url: `${endpoint.replace(/\/$/, "")}/v2/enqueue`, body: JSON.stringify({ routing_key: await routingKey(), ...eventOf(notice, hostName) }) }, signal);
    },
  };
}

function eventOf({ event, alert }: Notice, hostName: string): object {
  const { id, severity, title, detail, source, repository, kind, raisedAt, since, whatToDo } = alert;
  const head = { event_action: ACTIONS[event], dedup_key: `holdfast/${id}` };
  if (event !== "raised") return head;
  return {
    ...head,
    client: "Holdfast",
    payload: {
      summary: shortened(detail === null ? title : `${title} (${detail})`, MOST.summary),
      source: shortened(source ?? hostName, MOST.source),
      severity: SEVERITIES[severity],
      timestamp: raisedAt,
      component: repository ?? "holdfast",
      class: kind,
      custom_details: { severity, whatToDo, since, alert: id, repository },
    },
  };
}
