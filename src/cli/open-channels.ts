import { hostname } from "node:os";
import type { Channel } from "../alerts/channel.ts";
import { pagerDuty } from "../alerts/pagerduty.ts";
import { slack } from "../alerts/slack.ts";
import { webhook } from "../alerts/webhook.ts";
import type { Clock } from "../clock.ts";
import { resolveSecret } from "../config.ts";
import type { ChannelConfig, SecretRef } from "../policy/types.ts";

/** The channel that the inventory describes. Secrets are fetched each time: a file may hold a new one. */
export async function openChannel(config: Exclude<ChannelConfig, { kind: "alertmanager" }>, clock: Clock): Promise<Channel> {
  const { name, severities } = config;
  const secretOf = (reference: SecretRef) => async (): Promise<string> => resolveSecret(reference, `the secret of channel ${name}`);
  switch (config.kind) {
    case "pagerduty":
      return pagerDuty({ name, severities, endpoint: config.endpoint, routingKey: secretOf(config.routingKey), hostName: hostname() });
    case "slack":
      return slack({ name, severities, url: secretOf(config.url) });
    case "webhook":
      return webhook({ name, severities, url: config.url, secret: secretOf(config.secret), clock });
    case "email": {
      // Few have it, and it is large.
      const { email } = await import("../alerts/email.ts");
      return email({ name, severities, smtp: secretOf(config.smtp), to: config.to, from: config.from ?? `holdfast@${hostname()}` });
    }
  }
}
