import { z } from "zod";
import { SEVERITIES } from "../domain/alert-kinds.ts";
import type { Severity } from "../domain/alert-kinds.ts";
import { choiceField, durationField, endpointField, field, namedMap, says, secretField, section } from "./fields.ts";
import type { Problem } from "./problem.ts";
import type { ChannelConfig, ChannelTarget } from "./types.ts";
import type { YamlFile } from "./yaml-file.ts";

const PAGERDUTY = "https://events.pagerduty.com";
const CHANNEL_HINT =
  "{ pagerduty: env:PD_KEY }, { slack: env:SLACK_URL }, { smtp: env:SMTP_URL, to: [dba@example.com] }, { url: https://…, secret: env:HOOK } or { alertmanager: http://host:9093 }";

const isAddress = (text: unknown): text is string => typeof text === "string" && /^[^\s@,;<>"]{1,64}@[^\s@,;<>"]{1,190}$/.test(text);

const addressesField = field("must be a list of e-mail addresses", "such as [dba@example.com]", (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isAddress) ? value : undefined,
);

const addressField = field("must be an e-mail address", "such as holdfast@example.com", (value) => (isAddress(value) ? value : undefined));

const severitiesField = field(`must be a list of ${SEVERITIES.join(", ")}`, "such as [P1, P2]", (value): readonly Severity[] | undefined => {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const known = SEVERITIES.filter((severity) => value.includes(severity));
  return known.length === value.length ? known : undefined;
});

const channelShape = {
  pagerduty: secretField.optional(),
  endpoint: endpointField.optional(),
  slack: secretField.optional(),
  smtp: secretField.optional(),
  to: addressesField.optional(),
  from: addressField.optional(),
  url: endpointField.optional(),
  secret: secretField.optional(),
  alertmanager: endpointField.optional(),
  severities: severitiesField.optional(),
};

/** A key that says what a channel is, with those that go with it. */
const KINDS = { pagerduty: ["endpoint"], slack: [], smtp: ["to", "from"], url: ["secret"], alertmanager: [] } as const;
type KindKey = keyof typeof KINDS;
const KIND_KEYS = Object.keys(KINDS) as KindKey[];

const channelSection = section(channelShape).transform((written, context): ChannelTarget & Pick<ChannelConfig, "severities"> => {
  const refuse = (path: string[], message: string): void => context.addIssue({ code: "custom", path, message: says(message, CHANNEL_HINT) });
  const { pagerduty, endpoint, slack, smtp, to, from, url, secret, alertmanager } = written;
  const severities = written.severities ?? null;
  const [kind, another] = KIND_KEYS.filter((key) => written[key] !== undefined);
  if (another !== undefined) refuse([another], `stands beside ${kind}: a channel is one thing`);
  for (const [owner, keys] of Object.entries(KINDS)) for (const key of keys) if (written[key] !== undefined && kind !== owner) refuse([key], `goes with ${owner} only`);
  if (pagerduty !== undefined) return { kind: "pagerduty", routingKey: pagerduty, endpoint: endpoint ?? PAGERDUTY, severities };
  if (slack !== undefined) return { kind: "slack", url: slack, severities };
  if (smtp !== undefined && to !== undefined) return { kind: "email", smtp, to, from: from ?? null, severities };
  if (url !== undefined && secret !== undefined) return { kind: "webhook", url, secret, severities };
  if (alertmanager !== undefined) return { kind: "alertmanager", url: alertmanager, severities };
  refuse([], kind === "smtp" ? "must say to whom: to: [dba@example.com]" : kind === "url" ? "must have a secret that its messages are signed with" : "must say what it is");
  return z.NEVER;
});

/** Keys of the inventory that are about alerts. */
export const alertingShape = {
  channels: namedMap("channel", channelSection).default({}),
  alerting: choiceField(["own", "alertmanager"]).default("own"),
  alive: section({ url: secretField, every: durationField.default(60) }).optional(),
};

/** Channels that nothing would go through, and an Alertmanager that is to page and is not there. */
export function channelProblems(yaml: YamlFile): Problem[] {
  const { channels, alerting } = isMap(yaml.value) ? yaml.value : {};
  const managers = isMap(channels) ? Object.entries(channels).filter(([, channel]) => isMap(channel) && channel["alertmanager"] !== undefined) : [];
  const problem = (path: string[], message: string, hint: string): Problem => {
    const { file, line, column } = yaml.find(path);
    return { file, line, column, message, hint };
  };
  if (alerting === "alertmanager")
    return managers.length > 0 ? [] : [problem(["alerting"], "alerting is left to an Alertmanager, and no channel is one", "channels: { am: { alertmanager: http://host:9093 } }")];
  return managers.map(([name]) =>
    problem(
      ["channels", name, "alertmanager"],
      "alertmanager is told nothing while alerting is our own",
      "write alerting: alertmanager, so that it pages and we do not; or leave it out",
    ),
  );
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
