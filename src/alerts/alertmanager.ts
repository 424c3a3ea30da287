import type { Alert } from "../catalog/alerts.ts";
import { postJson } from "./http-post.ts";

/** Prometheus Alertmanager, API v2. It forgets what it is not told again: each alert is sent with the time when that is, and sent again before. */

/** How often everything is sent again, and how long it is to be believed: three sendings may be lost. */
export const RESEND_SECONDS = 60;
const BELIEVED_SECONDS = 4 * RESEND_SECONDS;
const MOST_AT_ONCE = 500;

/** Tells of alerts that are open, and of those that are over. */
export async function tellAlertmanager(url: string, alerts: readonly Alert[], now: Date, signal: AbortSignal): Promise<void> {
  const believedUntil = new Date(now.getTime() + BELIEVED_SECONDS * 1000).toISOString();
  for (let at = 0; at < alerts.length; at += MOST_AT_ONCE) {
    const some = alerts.slice(at, at + MOST_AT_ONCE).map((alert) => postable(alert, believedUntil));
    await postJson({ url: `${url.replace(/\/$/, "")}/api/v2/alerts`, body: JSON.stringify(some) }, signal);
  }
}

/** Labels say which alert it is, so they stay the same while it lasts; what changes is an annotation. */
function postable({ key, kind, severity, source, repository, title, detail, whatToDo, id, raisedAt, resolvedAt, acknowledgedBy }: Alert, believedUntil: string): object {
  return {
    startsAt: raisedAt,
    endsAt: resolvedAt ?? believedUntil,
    labels: {
      alertname: `Holdfast${kind.replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}`,
      severity,
      key,
      ...(source === null ? {} : { source }),
      ...(repository === null ? {} : { repository }),
    },
    annotations: {
      summary: title,
      description: detail ?? title,
      runbook: whatToDo,
      alert: id,
      ...(acknowledgedBy === null ? {} : { acknowledgedBy }),
    },
  };
}
