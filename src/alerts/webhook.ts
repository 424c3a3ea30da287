import { createHmac } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { ChannelRoute } from "../domain/alert-routing.ts";
import type { Channel } from "./channel.ts";
import { postJson } from "./http-post.ts";

/** A program of yours, by HTTP. It is signed: `Holdfast-Signature: t=<Unix seconds>,v1=<hex of HMAC-SHA-256 over "t.body">`. */
export interface WebhookOptions extends Omit<ChannelRoute, "kind"> {
  readonly url: string;
  readonly secret: () => Promise<string>;
  readonly clock: Clock;
}

const MOST_NOTICES = 50;

export function webhook({ name, severities, url, secret, clock }: WebhookOptions): Channel {
  return {
    name,
    kind: "webhook",
    severities,
    most: MOST_NOTICES,
    send: async (notices, signal) => {
      const now = clock.now();
      const body = JSON.stringify({ version: 1, sentAt: now.toISOString(), alerts: notices.map(({ event, alert }) => ({ event, ...alert })) });
      const seconds = Math.floor(now.getTime() / 1000);
      const signature = createHmac("sha256", await secret())
        .update(`${seconds}.${body}`)
        .digest("hex");
      await postJson({ url, headers: { "holdfast-signature": `t=${seconds},v1=${signature}` }, body }, signal);
    },
  };
}
